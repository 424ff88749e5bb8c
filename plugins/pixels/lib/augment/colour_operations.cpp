// Operations that change colours and sharpness.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include <graft/error.h>

#include <augment/operation.h>
#include "blur.h"
#include "colour.h"
#include "parameters.h"

namespace graft::augment {
namespace {

Range factors(const Params& params, const char* name) {
  const Range range = range_around(1, params, name);
  return {std::max(0.0, range.low), range.high};
}

/// Brightness, contrast, saturation and hue, in random order (torchvision, ColorJitter).
class ColorJitter final : public Operation {
 public:
  explicit ColorJitter(const Params& params)
      : changes_{{{adjust_brightness, factors(params, "brightness"), 1},
                  {adjust_contrast, factors(params, "contrast"), 1},
                  {adjust_saturation, factors(params, "saturation"), 1},
                  {adjust_hue, range_around(0, params, "hue"), 0}}} {}

  Image apply(const Image& image, Random& random) const override {
    std::array<std::size_t, 4> order{0, 1, 2, 3};
    for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
    std::array<double, 4> amounts{};
    for (std::size_t i = 0; i < amounts.size(); ++i)
      amounts[i] = random.uniform(changes_[i].range.low, changes_[i].range.high);
    Image out = image;
    for (const std::size_t i : order)
      if (amounts[i] != changes_[i].neutral) out = changes_[i].adjust(out, amounts[i]);
    return out;
  }

 private:
  struct Change {
    Image (*adjust)(const Image&, double);
    Range range;
    double neutral;  // this amount changes nothing
  };
  std::array<Change, 4> changes_;
};

class Grey final : public Operation {
 public:
  explicit Grey(const Params&) {}
  Image apply(const Image& image, Random&) const override { return to_grey(image); }
};

class Blur final : public Operation {
 public:
  explicit Blur(const Params& params) : sigma_(sigma_of(params)) {
    if (!params.has("kernel")) return;
    kernel_ = params.get<int>("kernel");
    if (*kernel_ % 2 == 0)
      throw Error(
          fmt::format("kernel: expected an odd number of taps, got {}; try {}", *kernel_, *kernel_ + 1));
  }

  Image apply(const Image& image, Random& random) const override {
    const double sigma = random.uniform(sigma_.low, sigma_.high);
    return gaussian_blur(image, kernel_.value_or(2 * static_cast<int>(std::ceil(3 * sigma)) + 1), sigma);
  }

 private:
  static Range sigma_of(const Params& params) {
    const auto v = params.get<std::vector<double>>("sigma");
    return v.size() == 1 ? Range{v[0], v[0]} : range_of(params, "sigma");
  }

  Range sigma_;
  std::optional<int> kernel_;
};

ParamSpec factor_parameter(std::string name, std::string about) {
  return list(std::move(name), number("factor").range(0, 10))
      .or_scalar()
      .items(1, 2)
      .default_list({0.0})
      .doc("Factors from max(0, 1 - x) to 1 + x, or [low, high]; 0 is " + std::move(about) +
           ", 1 the image.");
}

}  // namespace

std::vector<OperationType> colour_operations() {
  std::vector<OperationType> types;
  types.push_back({object("color_jitter", {factor_parameter("brightness", "black"),
                                           factor_parameter("contrast", "the mean grey"),
                                           factor_parameter("saturation", "the image in grey"),
                                           list("hue", number("turns").range(-0.5, 0.5).unit("turns"))
                                               .or_scalar()
                                               .items(1, 2)
                                               .default_list({0.0})
                                               .doc("Turns of the hue: [low, high], or x for [-x, x]."),
                                           probability(1)})
                       .doc("Colours changed, in random order."),
                   make<ColorJitter>});
  types.push_back({object("grey", {probability(0.1)}).doc("Colours taken away."), make<Grey>});
  types.push_back({object("blur", {integer("kernel").range(1, 1023).unit("px").optional().doc(
                                       "Side of the kernel, odd; default: three sigma to each side."),
                                   list("sigma", number("sigma").range(0.01, 100).unit("px"))
                                       .or_scalar()
                                       .items(1, 2)
                                       .default_list({0.1, 2.0})
                                       .doc("Standard deviation in px: [low, high], or one for all."),
                                   probability(1)})
                       .doc("Gaussian blur."),
                   make<Blur>});
  return types;
}

}  // namespace graft::augment
