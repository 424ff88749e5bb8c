#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <network/operation.h>

namespace graft::nn::ops {

// The rows of the table, a file per kind.
const std::vector<Operation>& convolutions();
const std::vector<Operation>& elementwise();
const std::vector<Operation>& poolings();
const std::vector<Operation>& norms();
const std::vector<Operation>& tokens();
const std::vector<Operation>& windows();

/// Throws WrongInput unless `in` is an image of the layer's channels.
void need_image(const Layer& layer, const Shape& in);
/// Throws WrongInput unless `in` has the layer's channels: an image [c,h,w], tokens [n,c] or a vector [c].
void need_channels(const Layer& layer, const Shape& in);

/// Operation::output of what keeps the shape: of an image, or of any value, with the layer's channels.
Shape same_image(const Layer& layer, const std::vector<Shape>& in);
Shape same_channels(const Layer& layer, const std::vector<Shape>& in);

/// Of a window that moves over an image: Conv and pools.
Shape window_output(const Layer& layer, const std::vector<Shape>& in);
std::string window_detail(const Layer& layer);

/// The axis of a value that its channels are on: the first of an image, else the last.
inline std::size_t channel_axis(const Shape& shape) {
  return shape.size() == 3 ? 0 : shape.size() - 1;
}

/// Values between one channel and the next, at the same place.
inline std::int64_t channel_stride(const Shape& shape) {
  return shape.size() == 3 ? shape[1] * shape[2] : 1;
}

inline std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

/// Sets each value of an image, in its order, to value(channel, row, column).
template <typename Value>
void fill(PlainValue& out, const Value& value) {
  auto to = out.data.begin();
  for (std::int64_t c = 0; c < out.shape[0]; ++c)
    for (std::int64_t y = 0; y < out.shape[1]; ++y)
      for (std::int64_t x = 0; x < out.shape[2]; ++x) *to++ = value(c, y, x);
}

/// A text as a template argument.
template <std::size_t Size>
struct Text {
  consteval Text(const char (&from)[Size]) { std::copy_n(from, Size, text); }  // NOLINT: converts on purpose
  char text[Size];
};

/// Operation::torch of one expression: {x} is the first input, {y} the last, {self} the module; {first},
/// {out} and {size} are the layer's.
template <Text Format>
std::string call(const Layer& layer, const TorchNames& names, std::vector<std::string>&) {
  return fmt::format(fmt::runtime(Format.text), fmt::arg("x", names.in.front()),
                     fmt::arg("y", names.in.back()), fmt::arg("self", names.self),
                     fmt::arg("first", layer.first), fmt::arg("out", layer.out),
                     fmt::arg("size", layer.size));
}

}  // namespace graft::nn::ops
