// Operations that move pixels: flips, rotation, affine maps.

#include <fmt/format.h>

#include <cmath>
#include <cstdint>

#include <graft/error.h>
#include <image/geometry.h>

#include <augment/operation.h>
#include "parameters.h"
#include "warp.h"

namespace graft::augment {
namespace {

// Pixels that an expanded image may have: a thin strip turned by 45 degrees would be its length squared.
constexpr std::int64_t kMaxPixels = std::int64_t{1} << 26;

class Flip final : public Operation {
 public:
  explicit Flip(const Params&) {}
  Image apply(const Image& image, Random&) const override { return image::mirrored(image); }
};

class VerticalFlip final : public Operation {
 public:
  explicit VerticalFlip(const Params&) {}
  Image apply(const Image& image, Random&) const override { return image::upright(image, 4); }
};

class Rotate final : public Operation {
 public:
  explicit Rotate(const Params& params)
      : degrees_(range_around(0, params, "degrees")),
        sampling_(sampling_of(params)),
        fill_(fill_of(params)),
        expand_(params.get<bool>("expand")) {}

  Image apply(const Image& image, Random& random) const override {
    const double degrees = random.uniform(degrees_.low, degrees_.high);
    const Rotation turned = rotation(image.width, image.height, degrees, expand_);
    if (std::int64_t{turned.width} * turned.height > kMaxPixels)
      throw Reject("too-large",
                   fmt::format("rotate with `expand` makes {} x {} pixels of {} x {}, more than {}; leave "
                               "`expand` out, or make the image smaller first",
                               turned.width, turned.height, image.width, image.height, kMaxPixels));
    return warp(image, turned.matrix, turned.width, turned.height, sampling_, fill_);
  }

 private:
  Range degrees_;
  Sampling sampling_;
  Colour fill_;
  bool expand_;
};

class RandomAffine final : public Operation {
 public:
  explicit RandomAffine(const Params& params)
      : degrees_(range_around(0, params, "degrees")),
        scale_(range_of(params, "scale")),
        sampling_(sampling_of(params)),
        fill_(fill_of(params)) {
    const auto translate = params.get<std::vector<double>>("translate");
    translate_x_ = translate.at(0);
    translate_y_ = translate.at(1);
    const auto shear = params.get<std::vector<double>>("shear");
    if (shear.size() == 3) throw Error("shear: expected one, two or four values, got 3");
    if (shear.size() < 4) {
      shear_x_ = range_around(0, params, "shear");
    } else {
      shear_x_ = {shear[0], shear[1]};
      shear_y_ = {shear[2], shear[3]};
      if (shear[0] > shear[1] || shear[2] > shear[3])
        throw Error(
            fmt::format("shear: expected [low x, high x, low y, high y], got [{}]; exchange low and high",
                        fmt::join(shear, ", ")));
    }
  }

  Image apply(const Image& image, Random& random) const override {
    const auto within = [&](const Range& range) { return random.uniform(range.low, range.high); };
    AffineChange change;
    change.degrees = within(degrees_);
    const double furthest_x = translate_x_ * image.width, furthest_y = translate_y_ * image.height;
    change.translate_x = std::nearbyint(random.uniform(-furthest_x, furthest_x));
    change.translate_y = std::nearbyint(random.uniform(-furthest_y, furthest_y));
    change.scale = within(scale_);
    change.shear_x = within(shear_x_);
    change.shear_y = within(shear_y_);
    return warp(image, affine_about_centre(image.width, image.height, change), image.width, image.height,
                sampling_, fill_);
  }

 private:
  Range degrees_, scale_, shear_x_, shear_y_;
  double translate_x_ = 0, translate_y_ = 0;
  Sampling sampling_;
  Colour fill_;
};

ParamSpec degrees_parameter(double default_value) {
  return list("degrees", number("angle").range(-360, 360).unit("degrees"))
      .or_scalar()
      .items(1, 2)
      .default_list({default_value})
      .doc("Angle in degrees: [low, high], or x for [-x, x].");
}

}  // namespace

std::vector<OperationType> warp_operations() {
  std::vector<OperationType> types;
  types.push_back({object("flip", {probability(0.5)}).doc("Left and right exchanged."), make<Flip>});
  types.push_back(
      {object("vertical_flip", {probability(0.5)}).doc("Top and bottom exchanged."), make<VerticalFlip>});
  types.push_back(
      {object("rotate",
              {degrees_parameter(15), sampling_parameter(), fill_parameter("the corners"),
               flag("expand", false).doc("Enlarge the image so that no corner is lost; sizes then differ."),
               probability(1)})
           .doc("Turned about the centre, counter-clockwise."),
       make<Rotate>});
  types.push_back(
      {object(
           "affine",
           {degrees_parameter(0),
            list("translate", number("share").range(0, 1))
                .items(2, 2)
                .default_list({0.0, 0.0})
                .doc("Largest shift to either side: fraction of the width, fraction of the height."),
            list("scale", number("factor").range(0.01, 100))
                .items(2, 2)
                .default_list({1.0, 1.0})
                .doc("Least and largest factor of size."),
            list("shear", number("angle").range(-89, 89).unit("degrees"))
                .or_scalar()
                .items(1, 4)
                .default_list({0.0})
                .doc(
                    "Degrees along x: [low, high], or x for [-x, x]; with two values more, along y as well."),
            sampling_parameter(), fill_parameter("what lies outside of the image"), probability(1)})
           .doc("Turned clockwise, scaled, sheared about the centre, and shifted."),
       make<RandomAffine>});
  return types;
}

}  // namespace graft::augment
