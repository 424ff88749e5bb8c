#include "align_channels.h"

#include <torch/csrc/jit/ir/constants.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace graft {
namespace {

using torch::jit::Node;
using torch::jit::toIValue;
using torch::jit::Value;

constexpr std::int64_t kBlock = 16;

struct Convolution {
  at::Tensor weight, bias;  // bias may be undefined
  std::size_t groups_at = 0;
  std::int64_t groups = 1;

  bool depthwise() const { return groups > 1 && weight.size(1) == 1 && weight.size(0) == groups; }
};

std::optional<Convolution> read(const Node& node) {
  Convolution conv;
  if (node.kind() == c10::Symbol::fromQualString("aten::conv2d")) {
    conv.groups_at = 6;
  } else if (node.kind() == c10::Symbol::fromQualString("aten::_convolution")) {
    const auto transposed = toIValue(node.inputs().at(6));
    if (!transposed || !transposed->isBool() || transposed->toBool()) return {};
    conv.groups_at = 8;
  } else {
    return {};
  }
  const auto weight = toIValue(node.inputs().at(1));
  const auto bias = toIValue(node.inputs().at(2));
  const auto groups = toIValue(node.inputs().at(conv.groups_at));
  if (!weight || !weight->isTensor() || weight->toTensor().dim() != 4 || !bias || !groups || !groups->isInt())
    return {};
  conv.weight = weight->toTensor();
  if (bias->isTensor()) conv.bias = bias->toTensor();
  conv.groups = groups->toInt();
  return conv;
}

/// Functions of each element alone: what they make of a filler channel meets only zero weights.
bool element_wise(const Node& node) {
  static const std::set<std::string> kNames = {
      "aten::relu",    "aten::relu_",     "aten::relu6",      "aten::hardtanh",    "aten::hardtanh_",
      "aten::clamp",   "aten::hardswish", "aten::hardswish_", "aten::hardsigmoid", "aten::hardsigmoid_",
      "aten::sigmoid", "aten::silu",      "aten::tanh"};
  return kNames.count(node.kind().toQualString()) > 0;
}

at::Tensor grow(const at::Tensor& t, std::int64_t axis, std::int64_t size) {
  auto shape = t.sizes().vec();
  shape[static_cast<std::size_t>(axis)] = size;
  at::Tensor out = at::zeros(shape, t.options());
  out.narrow(axis, 0, t.size(axis)).copy_(t);
  return out;
}

/// Everything that must change when the channels of one value grow.
struct Plan {
  std::vector<Node*>
      outputs;  // convolutions whose own outputs grow: the first one and depthwise ones behind it
  std::vector<Node*> inputs;  // convolutions that take the grown value in
};

bool follow(const Value& value, Plan& plan) {
  for (const torch::jit::Use& use : value.uses()) {
    Node& user = *use.user;
    if (element_wise(user)) {
      if (use.offset != 0 || !follow(*user.output(), plan)) return false;
      continue;
    }
    const auto conv = read(user);
    if (!conv || use.offset != 0) return false;
    if (conv->groups == 1) {
      plan.inputs.push_back(&user);
    } else if (conv->depthwise()) {
      plan.outputs.push_back(&user);
      if (!follow(*user.output(), plan)) return false;
    } else {
      return false;
    }
  }
  return !value.uses().empty();
}

void replace(Node& node, std::size_t input, const c10::IValue& constant) {
  torch::jit::WithInsertPoint before(&node);
  node.replaceInput(input, torch::jit::insertConstant(*node.owningGraph(), constant));
}

void widen_output(Node& node, std::int64_t channels) {
  const Convolution conv = *read(node);
  replace(node, 1, grow(conv.weight, 0, channels));
  if (conv.bias.defined()) replace(node, 2, grow(conv.bias, 0, channels));
  if (conv.depthwise()) replace(node, conv.groups_at, channels);
}

}  // namespace

int align_channels(const std::shared_ptr<torch::jit::Graph>& graph) {
  int grown = 0;
  for (Node* node : graph->nodes()) {
    const auto conv = read(*node);
    if (!conv || conv->groups != 1 || conv->weight.size(0) % kBlock == 0) continue;
    Plan plan{{node}, {}};
    if (!follow(*node->output(), plan)) continue;
    const std::int64_t channels = (conv->weight.size(0) + kBlock - 1) / kBlock * kBlock;
    for (Node* changed : plan.outputs) widen_output(*changed, channels);
    for (Node* changed : plan.inputs) replace(*changed, 1, grow(read(*changed)->weight, 1, channels));
    grown += static_cast<int>(plan.outputs.size());
  }
  return grown;
}

}  // namespace graft
