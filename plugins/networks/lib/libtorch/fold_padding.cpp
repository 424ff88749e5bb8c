#include "fold_padding.h"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

namespace graft::libtorch {
namespace {

using torch::jit::Node;
using torch::jit::toIValue;

/// Zero padding of the last two axes: left, right, top, bottom.
std::optional<std::array<std::int64_t, 4>> zero_padding(const Node& node) {
  const bool general = node.kind() == c10::Symbol::fromQualString("aten::pad");
  if (!general && node.kind() != c10::Symbol::fromQualString("aten::constant_pad_nd")) return {};

  const auto amounts = toIValue(node.inputs().at(1));
  const auto fill = toIValue(node.inputs().at(general ? 3 : 2));
  if (!amounts || !amounts->isIntList() || !fill) return {};
  if (general) {
    const auto mode = toIValue(node.inputs().at(2));
    if (!mode || !mode->isString() || mode->toStringRef() != "constant") return {};
  }
  if (!fill->isNone() && fill->toScalar().toDouble() != 0.0) return {};

  const auto list = amounts->toIntVector();
  if (list.size() != 4 || std::any_of(list.begin(), list.end(), [](auto v) { return v < 0; })) return {};
  return std::array{list[0], list[1], list[2], list[3]};
}

/// Positions of the arguments of conv2d and of _convolution, which differ.
struct ConvArguments {
  std::size_t padding, dilation;
};

std::optional<ConvArguments> convolution(const Node& node) {
  if (node.kind() == c10::Symbol::fromQualString("aten::conv2d")) return ConvArguments{4, 5};
  if (node.kind() == c10::Symbol::fromQualString("aten::_convolution")) {
    const auto transposed = toIValue(node.inputs().at(6));
    if (transposed && transposed->isBool() && !transposed->toBool()) return ConvArguments{4, 5};
  }
  return {};
}

bool fold(Node& conv) {
  const auto at = convolution(conv);
  if (!at) return false;
  Node* const pad = conv.inputs().at(0)->node();
  const auto amounts = zero_padding(*pad);
  const auto weight = toIValue(conv.inputs().at(1));
  const auto padding = toIValue(conv.inputs().at(at->padding));
  const auto dilation = toIValue(conv.inputs().at(at->dilation));
  if (!amounts || !weight || !weight->isTensor() || !padding || !padding->isIntList() || !dilation ||
      !dilation->isIntList())
    return false;
  const at::Tensor kernel = weight->toTensor();
  const auto own = padding->toIntVector();
  const auto steps = dilation->toIntVector();
  if (kernel.dim() != 4 || own.size() != 2 || steps != std::vector<std::int64_t>{1, 1}) return false;

  const std::int64_t top = own[0] + (*amounts)[2], bottom = own[0] + (*amounts)[3];
  const std::int64_t left = own[1] + (*amounts)[0], right = own[1] + (*amounts)[1];
  const std::int64_t rows = std::max(top, bottom), columns = std::max(left, right);
  at::Tensor wide = at::constant_pad_nd(kernel, {columns - left, columns - right, rows - top, rows - bottom});
  if (wide.size(2) * wide.size(3) > 2 * kernel.size(2) * kernel.size(3)) return false;

  torch::jit::WithInsertPoint before(&conv);
  torch::jit::Graph& graph = *conv.owningGraph();
  conv.replaceInput(0, pad->inputs().at(0));
  conv.replaceInput(1, torch::jit::insertConstant(graph, wide));
  conv.replaceInput(at->padding, torch::jit::insertConstant(graph, std::vector<std::int64_t>{rows, columns}));
  return true;
}

}  // namespace

int fold_padding(const std::shared_ptr<torch::jit::Graph>& graph) {
  int folded = 0;
  for (Node* node : graph->nodes()) folded += fold(*node) ? 1 : 0;
  torch::jit::EliminateDeadCode(graph);
  return folded;
}

}  // namespace graft::libtorch
