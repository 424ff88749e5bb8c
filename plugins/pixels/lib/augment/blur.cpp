#include "blur.h"

#include <cmath>
#include <cstdint>
#include <vector>

#include "pixels.h"

namespace graft::augment {
namespace {

constexpr int kWeightBits = 16;  // with 8 bits of a pixel and 8 of its fraction: all of 32
constexpr int kBlurFractionBits = 8;

std::vector<std::uint32_t> weights(int size, double sigma) {
  std::vector<double> exact;
  double total = 0;
  const int middle = (size - 1) / 2;
  for (int i = 0; i < size; ++i) {
    const double x = (i - middle) / sigma;
    exact.push_back(std::exp(-0.5 * x * x));
    total += exact.back();
  }
  std::vector<std::uint32_t> out;
  std::uint32_t left = 1u << kWeightBits;
  for (const double w : exact) {
    out.push_back(static_cast<std::uint32_t>(std::floor(w / total * (1 << kWeightBits))));
    left -= out.back();
  }
  out[out.size() / 2] += left;  // their sum is exact, so that an even area stays as it is
  return out;
}

}  // namespace

Image gaussian_blur(const Image& image, int size, double sigma) {
  const std::vector<std::uint32_t> kernel = weights(size, sigma);
  const int reach = size / 2;
  const auto samples = 3 * static_cast<std::size_t>(image.width);

  std::vector<std::uint8_t> wide(samples + 6 * static_cast<std::size_t>(reach));
  std::vector<std::uint16_t> across(samples * static_cast<std::size_t>(image.height));
  std::vector<std::uint32_t> sums(samples);
  for (int y = 0; y < image.height; ++y) {
    for (int x = -reach; x < image.width + reach; ++x)
      std::memcpy(&wide[3 * static_cast<std::size_t>(x + reach)],
                  image.row(y) + 3 * reflected(x, image.width), 3);
    sums.assign(samples, 1u << (kWeightBits - kBlurFractionBits - 1));
    for (std::size_t t = 0; t < kernel.size(); ++t)
      for (std::size_t i = 0; i < samples; ++i) sums[i] += kernel[t] * wide[i + 3 * t];
    std::uint16_t* to = &across[static_cast<std::size_t>(y) * samples];
    for (std::size_t i = 0; i < samples; ++i)
      to[i] = static_cast<std::uint16_t>(sums[i] >> (kWeightBits - kBlurFractionBits));
  }

  Image out = Image::allocate(image.width, image.height);
  for (int y = 0; y < image.height; ++y) {
    sums.assign(samples, 1u << (kWeightBits + kBlurFractionBits - 1));
    for (std::size_t t = 0; t < kernel.size(); ++t) {
      const int row = reflected(y + static_cast<int>(t) - reach, image.height);
      const std::uint16_t* from = &across[static_cast<std::size_t>(row) * samples];
      for (std::size_t i = 0; i < samples; ++i) sums[i] += kernel[t] * from[i];
    }
    for (std::size_t i = 0; i < samples; ++i)
      out.row(y)[i] = static_cast<std::uint8_t>(sums[i] >> (kWeightBits + kBlurFractionBits));
  }
  return out;
}

}  // namespace graft::augment
