#include "pack.h"

namespace graft {

Normalizer::Normalizer(const std::vector<double>& mean, const std::vector<double>& deviation) {
  for (std::size_t c = 0; c < 3; ++c) {
    const auto m = static_cast<float>(mean[mean.size() == 1 ? 0 : c]);
    const auto d = static_cast<float>(deviation[deviation.size() == 1 ? 0 : c]);
    for (std::size_t v = 0; v < 256; ++v) table_[c][v] = (static_cast<float>(v) / 255.0f - m) / d;
  }
}

void Normalizer::pack(const Image& image, float* out) const {
  const auto width = static_cast<std::size_t>(image.width);
  const std::size_t plane = width * static_cast<std::size_t>(image.height);
  for (int y = 0; y < image.height; ++y) {
    const std::uint8_t* in = image.row(y);
    float* red = out + static_cast<std::size_t>(y) * width;
    float* green = red + plane;
    float* blue = green + plane;
    for (std::size_t x = 0; x < width; ++x) {
      red[x] = table_[0][in[3 * x]];
      green[x] = table_[1][in[3 * x + 1]];
      blue[x] = table_[2][in[3 * x + 2]];
    }
  }
}

}  // namespace graft
