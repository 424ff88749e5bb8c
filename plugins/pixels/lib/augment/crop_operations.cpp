// Operations that take a part of an image, or take a part away.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include <graft/error.h>
#include <image/resize.h>

#include <augment/operation.h>
#include "parameters.h"
#include "pixels.h"

namespace graft::augment {
namespace {

using image::Rect;

int rounded(double v) {
  return static_cast<int>(std::nearbyint(std::min(v, 1e9)));
}

int offset(Random& random, int room) {
  return static_cast<int>(random.below(static_cast<std::uint64_t>(room) + 1));
}

/// A random part of the image, resized: ten tries to place one of random area and ratio, else the largest
/// centred one within the ratios (torchvision, RandomResizedCrop.get_params).
class RandomResizedCrop final : public Operation {
 public:
  explicit RandomResizedCrop(const Params& params)
      : scale_(range_of(params, "scale")),
        ratio_(range_of(params, "ratio")),
        filter_(image::filter_from(params.get<std::string>("filter"))) {
    if (params.has("size")) size_ = params.get<int>("size");
  }

  Image apply(const Image& image, Random& random) const override {
    // Cut first: pixels outside the part must not bleed in through the filter.
    return image::resize(image::view(image, choose(image.width, image.height, random)),
                         size_.value_or(image.width), size_.value_or(image.height), filter_);
  }

 private:
  Rect choose(int width, int height, Random& random) const {
    for (int attempt = 0; attempt < 10; ++attempt) {
      const double area = static_cast<double>(width) * height * random.uniform(scale_.low, scale_.high);
      const double ratio = std::exp(random.uniform(std::log(ratio_.low), std::log(ratio_.high)));
      const int w = rounded(std::sqrt(area * ratio)), h = rounded(std::sqrt(area / ratio));
      if (w < 1 || h < 1 || w > width || h > height) continue;
      const int y = offset(random, height - h), x = offset(random, width - w);
      return {x, y, w, h};
    }
    int w = width, h = height;
    const double ratio = static_cast<double>(width) / height;
    if (ratio < ratio_.low)
      h = std::clamp(rounded(width / ratio_.low), 1, h);
    else if (ratio > ratio_.high)
      w = std::clamp(rounded(height * ratio_.high), 1, w);
    return {(width - w) / 2, (height - h) / 2, w, h};
  }

  std::optional<int> size_;
  Range scale_, ratio_;
  image::Filter filter_;
};

enum class Padding { Constant, Edge, Reflect };

/// A part of fixed size at a random place of the padded image (torchvision, RandomCrop).
class RandomCrop final : public Operation {
 public:
  explicit RandomCrop(const Params& params) : border_(params.get<int>("padding")), fill_(fill_of(params)) {
    if (params.has("size")) size_ = params.get<int>("size");
    const auto mode = params.get<std::string>("padding_mode");
    padding_ = mode == "edge" ? Padding::Edge : mode == "reflect" ? Padding::Reflect : Padding::Constant;
  }

  Image apply(const Image& image, Random& random) const override {
    const int width = size_.value_or(image.width), height = size_.value_or(image.height);
    const int room_x = image.width + 2 * border_ - width, room_y = image.height + 2 * border_ - height;
    if (room_x < 0 || room_y < 0)
      throw Reject("too-small",
                   fmt::format("random_crop: expected at least {0} x {0} pixels with {1} of padding on every "
                               "side, got {2} x {3}; resize the image first, or raise `padding`",
                               *size_, border_, image.width, image.height));
    const std::vector<int> rows = positions(offset(random, room_y), height, image.height);
    const std::vector<int> columns = positions(offset(random, room_x), width, image.width);
    Image out = filled(width, height, fill_);
    for (int y = 0; y < height; ++y) {
      if (rows[std::size_t(y)] < 0) continue;
      const std::uint8_t* from = image.row(rows[std::size_t(y)]);
      for (int x = 0; x < width; ++x)
        if (const int column = columns[std::size_t(x)]; column >= 0)
          std::memcpy(out.row(y) + 3 * x, from + 3 * column, 3);
    }
    return out;
  }

 private:
  // The rows (or columns) of the image that those of the crop come from; -1: none.
  std::vector<int> positions(int first, int n, int side) const {
    std::vector<int> out;
    for (int i = 0; i < n; ++i) {
      const int at = first + i - border_;
      out.push_back(padding_ == Padding::Edge      ? std::clamp(at, 0, side - 1)
                    : padding_ == Padding::Reflect ? reflected(at, side)
                    : at < 0 || at >= side         ? -1
                                                   : at);
    }
    return out;
  }

  std::optional<int> size_;  // none: the image's own
  int border_;
  Padding padding_;
  Colour fill_;
};

/// A random rectangle painted over: ten tries to place one of random area and ratio, else nothing (Zhong et
/// al. 2017, arXiv:1708.04896; torchvision, RandomErasing).
class Cutout final : public Operation {
 public:
  explicit Cutout(const Params& params)
      : scale_(range_of(params, "scale")), ratio_(range_of(params, "ratio")), fill_(fill_of(params)) {}

  Image apply(const Image& image, Random& random) const override {
    for (int attempt = 0; attempt < 10; ++attempt) {
      const double area =
          static_cast<double>(image.width) * image.height * random.uniform(scale_.low, scale_.high);
      const double ratio = std::exp(random.uniform(std::log(ratio_.low), std::log(ratio_.high)));
      const int h = rounded(std::sqrt(area * ratio)), w = rounded(std::sqrt(area / ratio));
      if (w >= image.width || h >= image.height) continue;
      const int top = offset(random, image.height - h), left = offset(random, image.width - w);
      Image out = copied(image);
      for (int y = top; y < top + h; ++y)
        for (int x = left; x < left + w; ++x) std::memcpy(out.row(y) + 3 * x, fill_.data(), 3);
      return out;
    }
    return image;
  }

 private:
  Range scale_, ratio_;
  Colour fill_;
};

ParamSpec scale_parameter(double least_possible, double low, double high) {
  return list("scale", number("share").range(least_possible, 1))
      .items(2, 2)
      .default_list({low, high})
      .doc("Smallest and largest fraction of the image's area.");
}

ParamSpec ratio_parameter(double low, double high, std::string meaning) {
  return list("ratio", number("ratio").range(0.01, 100))
      .items(2, 2)
      .default_list({low, high})
      .doc("Least and largest " + std::move(meaning) + ".");
}

}  // namespace

std::vector<OperationType> crop_operations() {
  std::vector<OperationType> types;
  types.push_back(
      {object("random_resized_crop",
              {integer("size", 224)
                   .range(1, 16384)
                   .unit("px")
                   .optional()
                   .doc("Side of the result; null: the image's own width and height."),
               scale_parameter(1e-6, 0.08, 1.0), ratio_parameter(3.0 / 4, 4.0 / 3, "width by height"),
               choice("filter", {"box", "bilinear", "bicubic", "lanczos"}, "bilinear")
                   .doc("Resampling filter, antialiased.")})
           .doc("A random part, resized."),
       make<RandomResizedCrop>});
  types.push_back({object("random_crop",
                          {integer("size").range(1, 16384).unit("px").optional().doc(
                               "Side of the result; default: the image's own width and height."),
                           integer("padding", 0)
                               .range(0, 16384)
                               .unit("px")
                               .doc("Added on every side before the part is cut out."),
                           choice("padding_mode", {"constant", "edge", "reflect"}, "constant")
                               .doc("What is added: `fill`, the pixels at the edge, or the mirrored image."),
                           fill_parameter("the padding")})
                       .doc("A part of fixed size, at a random place."),
                   make<RandomCrop>});
  types.push_back(
      {object("cutout", {scale_parameter(0, 0.02, 0.33), ratio_parameter(0.3, 3.3, "height by width"),
                         fill_parameter("the rectangle"), probability(0.5)})
           .doc("A random rectangle painted over (random erasing)."),
       make<Cutout>});
  return types;
}

}  // namespace graft::augment
