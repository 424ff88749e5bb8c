#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <graft/payload.h>

namespace graft::nn::onnx {

/// A tensor of an ONNX graph: floating-point numbers of any width as float, whole numbers and booleans as
/// 64-bit integers; row-major.
struct Array {
  Shape shape;
  bool is_float = true;
  std::vector<float> reals;            ///< is_float
  std::vector<std::int64_t> integers;  ///< else

  std::int64_t size() const { return elements(shape); }
  double at(std::size_t i) const {
    return is_float ? static_cast<double>(reals[i]) : static_cast<double>(integers[i]);
  }

  static Array of(Shape shape, std::vector<float> values) {
    return {std::move(shape), true, std::move(values), {}};
  }
  static Array of(Shape shape, std::vector<std::int64_t> values) {
    return {std::move(shape), false, {}, std::move(values)};
  }
  /// Zeros. Throws Error for more elements than kMostElements.
  static Array zeros(Shape shape, bool is_float);
};

using ArrayPtr = std::shared_ptr<const Array>;

/// Elements of a value of a graph: more make no network that anybody runs.
constexpr std::int64_t kMostElements = std::int64_t{1} << 28;

/// The elements of a shape. Throws Error for more than kMostElements.
std::size_t count_of(const Shape& shape);

}  // namespace graft::nn::onnx
