#include "operations.h"

#include <algorithm>
#include <cmath>

namespace {

using graft::Image;
using graft::Random;
using graft::image::Rect;
using graft::image::Size;

class Flip final : public Operation {
 public:
  explicit Flip(double p) : p_(p) {}
  std::string_view name() const override { return "flip"; }
  Image apply(const Image& image, Random& random) const override {
    return random.chance(p_) ? graft::image::mirrored(image) : image;
  }

 private:
  double p_;
};

class RandomResizedCrop final : public Operation {
 public:
  explicit RandomResizedCrop(const ResizedCrop& options) : options_(options) {}
  std::string_view name() const override { return "random_resized_crop"; }
  Image apply(const Image& image, Random& random) const override {
    const Rect part = choose_crop({image.width, image.height}, options_, random);
    // Cut first: pixels outside the part must not bleed in through the filter.
    return graft::image::resize(graft::image::view(image, part), options_.size, options_.size,
                                options_.filter);
  }

 private:
  ResizedCrop options_;
};

int rounded(double v) {
  return static_cast<int>(std::nearbyint(std::min(v, 1e9)));
}

}  // namespace

Rect choose_crop(Size size, const ResizedCrop& options, Random& random) {
  const auto width = static_cast<double>(size.width), height = static_cast<double>(size.height);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double area = width * height * random.uniform(options.scale_low, options.scale_high);
    const double ratio = std::exp(random.uniform(std::log(options.ratio_low), std::log(options.ratio_high)));
    const int w = rounded(std::sqrt(area * ratio)), h = rounded(std::sqrt(area / ratio));
    if (w < 1 || h < 1 || w > size.width || h > size.height) continue;
    const auto y = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(size.height - h + 1)));
    const auto x = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(size.width - w + 1)));
    return {x, y, w, h};
  }
  int w = static_cast<int>(size.width), h = static_cast<int>(size.height);
  if (width / height < options.ratio_low)
    h = std::clamp(rounded(width / options.ratio_low), 1, h);
  else if (width / height > options.ratio_high)
    w = std::clamp(rounded(height * options.ratio_high), 1, w);
  return {(size.width - w) / 2, (size.height - h) / 2, w, h};
}

std::unique_ptr<Operation> make_flip(double p) {
  return std::make_unique<Flip>(p);
}
std::unique_ptr<Operation> make_resized_crop(const ResizedCrop& options) {
  return std::make_unique<RandomResizedCrop>(options);
}
