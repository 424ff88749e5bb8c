// RandAugment (Cubuk et al. 2019, arXiv:1909.13719) with the operations and magnitudes of torchvision 0.14.

#include <fmt/format.h>

#include <array>
#include <cmath>

#include <graft/error.h>

#include <augment/operation.h>
#include "colour.h"
#include "parameters.h"
#include "warp.h"

namespace graft::augment {
namespace {

class RandAugment final : public Operation {
 public:
  explicit RandAugment(const Params& params)
      : operations_(params.get<int>("operations")), sampling_(sampling_of(params)), fill_(fill_of(params)) {
    const int magnitude = params.get<int>("magnitude"), bins = params.get<int>("bins");
    if (magnitude >= bins)
      throw Error(fmt::format("magnitude: expected less than `bins` ({}), got {}", bins, magnitude));
    strength_ = static_cast<double>(magnitude) / (bins - 1);
  }

  Image apply(const Image& image, Random& random) const override {
    Image out = image;
    for (int i = 0; i < operations_; ++i) {
      const Change change = kChanges[random.below(kChanges.size())];
      const double sign = random.chance(0.5) ? -1 : 1;
      out = (this->*change)(out, sign);
    }
    return out;
  }

 private:
  using Change = Image (RandAugment::*)(const Image&, double sign) const;
  static const std::array<Change, 14> kChanges;

  Image moved(const Image& image, const Affine& matrix) const {
    return warp(image, matrix, image.width, image.height, sampling_, fill_);
  }
  // Whole pixels, at most 150 of 331: the image of 331 px is the one of AutoAugment.
  double shift(int side, double sign) const { return std::trunc(sign * strength_ * 150.0 / 331.0 * side); }
  double factor(double sign) const { return 1 + sign * 0.9 * strength_; }

  Image identity(const Image& image, double) const { return image; }
  Image shear_x(const Image& image, double sign) const {
    return moved(image, {1, sign * 0.3 * strength_, 0, 0, 1, 0});
  }
  Image shear_y(const Image& image, double sign) const {
    return moved(image, {1, 0, 0, sign * 0.3 * strength_, 1, 0});
  }
  Image translate_x(const Image& image, double sign) const {
    return moved(image, {1, 0, -shift(image.width, sign), 0, 1, 0});
  }
  Image translate_y(const Image& image, double sign) const {
    return moved(image, {1, 0, 0, 0, 1, -shift(image.height, sign)});
  }
  Image rotate(const Image& image, double sign) const {
    return moved(image, rotation(image.width, image.height, sign * 30 * strength_, false).matrix);
  }
  Image brightness(const Image& image, double sign) const { return adjust_brightness(image, factor(sign)); }
  Image colour(const Image& image, double sign) const { return adjust_saturation(image, factor(sign)); }
  Image contrast(const Image& image, double sign) const { return adjust_contrast(image, factor(sign)); }
  Image sharpness(const Image& image, double sign) const { return adjust_sharpness(image, factor(sign)); }
  Image posterized(const Image& image, double) const {
    return posterize(image, 8 - static_cast<int>(std::nearbyint(4 * strength_)));
  }
  Image solarized(const Image& image, double) const { return solarize(image, 255 * (1 - strength_)); }
  Image contrast_stretched(const Image& image, double) const { return autocontrast(image); }
  Image equalized(const Image& image, double) const { return equalize(image); }

  int operations_;
  double strength_;  // 0 to 1
  Sampling sampling_;
  Colour fill_;
};

const std::array<RandAugment::Change, 14> RandAugment::kChanges{
    &RandAugment::identity,           &RandAugment::shear_x,     &RandAugment::shear_y,
    &RandAugment::translate_x,        &RandAugment::translate_y, &RandAugment::rotate,
    &RandAugment::brightness,         &RandAugment::colour,      &RandAugment::contrast,
    &RandAugment::sharpness,          &RandAugment::posterized,  &RandAugment::solarized,
    &RandAugment::contrast_stretched, &RandAugment::equalized};

}  // namespace

std::vector<OperationType> rand_augment_operations() {
  std::vector<OperationType> types;
  types.push_back(
      {object("rand_augment",
              {integer("operations", 2).range(1, 100).doc("How many are drawn, with replacement."),
               integer("magnitude", 9).range(0, 1000).doc("Strength, from 0 to bins - 1."),
               integer("bins", 31).range(2, 1001).doc("Steps of strength."), sampling_parameter(),
               fill_parameter("what lies outside of the image"), probability(1)})
           .doc("Operations drawn from 14: identity, shears, shifts, rotation, brightness, colour, contrast, "
                "sharpness, posterize, solarize, autocontrast, equalize."),
       make<RandAugment>});
  return types;
}

}  // namespace graft::augment
