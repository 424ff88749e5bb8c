#pragma once

#include <cstdint>
#include <string>
#include <vector>

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

}  // namespace graft::nn::ops
