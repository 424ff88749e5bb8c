#pragma once

#include <cstdint>
#include <vector>

#include "graph.h"

namespace graft::nn::onnx {

/// An operator that computes nothing: each element of what it gives is one of what it takes, or a constant.
/// Evaluation and lowering share this one description of where each comes from.
struct Movement {
  struct Output {
    Shape shape;
    /// By element: its place in the operands one after the other; kFill: the constant. Empty: as they lie.
    std::vector<std::int32_t> from;
  };
  static constexpr std::int32_t kFill = -1;

  std::vector<std::size_t> operands;  ///< The inputs of the node whose elements are moved.
  std::vector<Output> outputs;
  double fill = 0;
};

/// Of an input of a node: its shape, and its value where that is constant; null where it is not.
struct Operand {
  Shape shape;
  const Array* constant = nullptr;
};

bool is_movement(const std::string& op);

/// Throws Error for attributes and shapes that do not go together, and where an input that says where
/// elements go is not constant.
Movement movement_of(const Node& node, std::int64_t opset, const std::vector<Operand>& inputs);

/// Elements from one index to the next along each axis, row-major.
std::vector<std::int64_t> strides_of(const Shape& shape);
/// The shape that two shapes broadcast to. Throws Error where they do not.
Shape broadcast(const Shape& a, const Shape& b);
/// By element of `to`: the element of a value of shape `from` that broadcasts there.
std::vector<std::int32_t> broadcast_places(const Shape& from, const Shape& to);
/// An axis counted from the front. Throws Error beyond `rank`.
std::size_t axis_of(const Node& node, std::int64_t axis, std::size_t rank);

}  // namespace graft::nn::onnx
