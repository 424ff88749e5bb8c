#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <network/architecture.h>

namespace graft::nn {

/// A value of one image in double precision, row-major: what plain loops read and write.
struct PlainValue {
  Shape shape;
  std::vector<double> data;

  /// Of an image [c,h,w]; zero outside.
  double at(std::int64_t c, std::int64_t y, std::int64_t x) const {
    const bool inside = y >= 0 && x >= 0 && y < shape[1] && x < shape[2];
    return inside ? data[static_cast<std::size_t>((c * shape[1] + y) * shape[2] + x)] : 0;
  }
};

/// What a plain loop works on.
struct PlainOperands {
  const Layer& layer;
  std::vector<const PlainValue*> in;
  /// A tensor of the layer by the last part of its path: "weight". Null where the layer does not have it.
  std::function<const float*(const char* name)> tensor;
};

/// The names that an operation uses in TorchScript source.
struct TorchNames {
  std::vector<std::string> in;  ///< Its inputs: images [n,c,h,w], tokens [n,t,d] or vectors [n,d].
  std::string self;             ///< The module with its tensors.
  std::string out;              ///< Its value; names that begin with it and `_` are free.
  bool bf16 = false;            ///< Only operations that LibTorch 1.13 can differentiate in bfloat16, too.
};

/// Thrown by Operation::output for an input that the operation does not take.
struct WrongInput {
  std::string wanted;  ///< "an image"
  Shape got;
};

/// All that is known of an operation, in one place; `ops/` has a file per kind. Who computes networks reads
/// this table. The engine `fused` has its kernels in `lower`, since they need oneDNN.
struct Operation {
  Op op;
  const char* name;
  std::size_t inputs;  ///< Values that it takes; kAny: one at least.
  /// The shape of its value for one image. Throws WrongInput.
  Shape (*output)(const Layer& layer, const std::vector<Shape>& in);
  /// Its value by plain loops: what kernels are compared with. `out` has its shape, and zeros.
  void (*plain)(const PlainOperands& with, PlainValue& out);
  /// TorchScript: an expression for its value. Statements that must come before are appended to `lines`.
  std::string (*torch)(const Layer& layer, const TorchNames& names, std::vector<std::string>& lines);
  /// Null: it has no tensors. Paths are the last parts: "weight".
  std::vector<Parameter> (*parameters)(const Layer& layer) = nullptr;
  /// Null: none. As papers count them, of products with weights and of attention.
  std::int64_t (*multiply_adds)(const Layer& layer, const std::vector<Shape>& in, const Shape& out) = nullptr;
  /// What shapes its value, for people: "3x3/2"; null: nothing.
  std::string (*detail)(const Layer& layer) = nullptr;

  static constexpr std::size_t kAny = 0;
};

const Operation& operation(Op op);

/// In the order of Op.
const std::vector<Operation>& operations();

/// What a layer with windows adds around an image, by its rule, so that the sides of its value are
/// (side + both paddings - extent of the window) / stride + 1, rounded down.
Padding padding_of(const Layer& layer, const Shape& image);

/// Pixels that a window spans: (kernel - 1) dilation + 1.
inline std::int64_t span_of(int kernel, int dilation) {
  return (std::int64_t{kernel} - 1) * dilation + 1;
}

/// A place along a side, or one beside it, mirrored at the border pixel.
std::int64_t mirrored(std::int64_t place, std::int64_t side);

/// Pixels [first,last) along one side that a mean is over, and what their sum is divided by.
struct AveragedRun {
  std::int64_t first, last, divisor;
};

/// Of an AvgPool, GlobalPool or WindowAvgPool, for each place of its value along an axis (1: height).
std::vector<AveragedRun> averaged_along(const Layer& layer, const Shape& in, const Shape& out,
                                        std::size_t axis);

/// Where the windows of a WindowAttention lie along one side of an image.
struct WindowSide {
  std::vector<std::int64_t> from;  ///< By place in the windows: where it comes from in the padded image.
  std::vector<int> region;         ///< By place: pixels of other regions are masked.
};

/// What the score of a query and a key of another region is less by.
constexpr int kOtherRegion = 100;

/// Along the height and along the width. `in`: the shapes of its inputs, which it takes.
std::array<WindowSide, 2> window_sides(const Layer& layer, const std::vector<Shape>& in);

}  // namespace graft::nn
