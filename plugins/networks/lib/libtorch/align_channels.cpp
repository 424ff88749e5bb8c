#include "align_channels.h"

#include <torch/csrc/jit/ir/constants.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

namespace graft::libtorch {
namespace {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::toIValue;
using torch::jit::Value;

constexpr std::int64_t kBlock = 16;

std::int64_t rounded(std::int64_t channels) {
  return (channels + kBlock - 1) / kBlock * kBlock;
}

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

/// The name of an operation, without the mark of those that write over their input.
std::string_view name_of(const Node& node) {
  std::string_view name = node.kind().toQualString();
  if (name.ends_with('_')) name.remove_suffix(1);
  return name;
}

/// Whether mean is over the pixels of each channel: [2, 3], axes kept.
bool pools(const Node& node) {
  const auto axes = toIValue(node.inputs().at(1)), keep = toIValue(node.inputs().at(2));
  if (!axes || !axes->isIntList() || !keep || !keep->isBool() || !keep->toBool()) return false;
  std::vector<std::int64_t> list = axes->toIntVector();
  for (std::int64_t& axis : list) axis = axis < 0 ? axis + 4 : axis;
  std::sort(list.begin(), list.end());
  return list == std::vector<std::int64_t>{2, 3};
}

/// Functions of each channel alone, of a value [n,c,h,w]: what they make of an extra channel of zeros is
/// finite, and meets only zero weights.
bool keeps_channels_apart(const Node& node) {
  static const std::set<std::string_view> kNames = {
      "aten::relu",      "aten::relu6",       "aten::hardtanh",   "aten::clamp",
      "aten::hardswish", "aten::hardsigmoid", "aten::sigmoid",    "aten::silu",
      "aten::tanh",      "aten::dropout",     "aten::max_pool2d", "aten::adaptive_avg_pool2d"};
  const std::string_view name = name_of(node);
  return kNames.contains(name) || (name == "aten::mean" && node.inputs().size() == 4 && pools(node));
}

/// A sum or a product of two values.
bool joins_two(const Node& node) {
  const std::string_view name = name_of(node);
  if (name != "aten::add" && name != "aten::mul") return false;
  return node.inputs().at(0)->type()->isSubtypeOf(*c10::TensorType::get()) &&
         node.inputs().at(1)->type()->isSubtypeOf(*c10::TensorType::get()) &&
         !toIValue(node.inputs().at(0)) && !toIValue(node.inputs().at(1));
}

at::Tensor grow(const at::Tensor& t, std::int64_t axis, std::int64_t size) {
  auto shape = t.sizes().vec();
  shape[static_cast<std::size_t>(axis)] = size;
  at::Tensor out = at::zeros(shape, t.options());
  out.narrow(axis, 0, t.size(axis)).copy_(t);
  return out;
}

/// The values whose channels must grow together, and all nodes that change with them.
class Family {
 public:
  /// All values tied to the output of a convolution. Empty if another operation depends on the channels.
  static std::optional<Family> of(Node& convolution) {
    Family family;
    family.channels_ = read(convolution)->weight.size(0);
    if (!family.make(convolution) || family.inputs_.empty()) return {};
    return family;
  }

  /// Returns the number of convolutions whose outputs grew.
  int widen() {
    const std::int64_t size = rounded(channels_);
    for (Node* node : makers_) {
      const Convolution conv = *read(*node);
      replace(*node, 1, grow(conv.weight, 0, size));
      if (conv.bias.defined()) replace(*node, 2, grow(conv.bias, 0, size));
      if (conv.depthwise()) replace(*node, conv.groups_at, size);
    }
    for (Node* node : inputs_) replace(*node, 1, grow(read(*node)->weight, 1, size));
    return static_cast<int>(makers_.size());
  }

 private:
  /// The node's output belongs to the family: so do its inputs and its uses.
  bool make(Node& node) {
    if (node.outputs().size() != 1 || node.owningBlock() != node.owningGraph()->block()) return false;
    if (!seen_.insert(node.output()).second) return true;
    if (const auto conv = read(node)) {
      // Roots of one value must agree: a map of one channel may be spread over many.
      if (conv->weight.size(0) != channels_) return false;
      if (conv->groups != 1 && !conv->depthwise()) return false;
      makers_.insert(&node);
      if (conv->depthwise() && !make(*node.inputs().at(0)->node())) return false;
    } else if (keeps_channels_apart(node)) {
      if (!make(*node.inputs().at(0)->node())) return false;
    } else if (joins_two(node)) {
      if (!make(*node.inputs().at(0)->node()) || !make(*node.inputs().at(1)->node())) return false;
    } else {
      return false;
    }
    for (const torch::jit::Use& use : node.output()->uses())
      if (!take(*use.user, use.offset)) return false;
    return true;
  }

  bool take(Node& user, std::size_t offset) {
    if (joins_two(user)) return offset < 2 && make(user);
    if (offset != 0) return false;
    if (keeps_channels_apart(user)) return make(user);
    const auto conv = read(user);
    if (!conv) return false;
    if (conv->groups != 1) return conv->depthwise() && make(user);
    inputs_.insert(&user);
    return user.owningBlock() == user.owningGraph()->block();
  }

  static void replace(Node& node, std::size_t input, const c10::IValue& constant) {
    torch::jit::WithInsertPoint before(&node);
    node.replaceInput(input, torch::jit::insertConstant(*node.owningGraph(), constant));
  }

  std::int64_t channels_ = 0;
  std::set<const Value*> seen_;
  std::set<Node*> makers_, inputs_;
};

/// Whether the value certainly has a multiple of kBlock channels.
bool has_whole_blocks(const Value& value, int steps = 64) {
  const Node& node = *value.node();
  if (const auto conv = read(node)) return conv->weight.size(0) % kBlock == 0;
  if (steps == 0) return false;
  if (keeps_channels_apart(node)) return has_whole_blocks(*node.inputs().at(0), steps - 1);
  // One operand with so many channels is enough: the other has as many, or one that is spread over them.
  return joins_two(node) && (has_whole_blocks(*node.inputs().at(0), steps / 2) ||
                             has_whole_blocks(*node.inputs().at(1), steps / 2));
}

/// min(max(x, low), high), bounds as constants.
Value* clamped(Graph& graph, Value* x, const c10::IValue& low, const c10::IValue& high) {
  Value* out = x;
  if (!low.isNone())
    out = graph.insert(c10::Symbol::fromQualString("aten::clamp_min"), {out, graph.insertConstant(low)});
  if (!high.isNone())
    out = graph.insert(c10::Symbol::fromQualString("aten::clamp_max"), {out, graph.insertConstant(high)});
  return out;
}

/// clamp(x + 3, 0, 6), of which hardsigmoid is a sixth and hardswish a product with x.
Value* shifted(Graph& graph, Value* x) {
  Value* const three = graph.insertConstant(3.0);
  return clamped(graph, graph.insert(c10::aten::add, {x, three}), 0.0, 6.0);
}

/// The same values by other functions; nullptr: no change needed.
Value* rewritten(Graph& graph, Node& node) {
  const std::string_view name = name_of(node);
  Value* const x = node.inputs().at(0);
  if (name == "aten::relu6") return clamped(graph, x, 0.0, 6.0);
  if (name == "aten::hardtanh" || name == "aten::clamp") {
    const auto low = toIValue(node.inputs().at(1)), high = toIValue(node.inputs().at(2));
    const auto is_number = [](const auto& bound) { return bound && (bound->isNone() || bound->isScalar()); };
    if (!is_number(low) || !is_number(high) || (low->isNone() && high->isNone())) return nullptr;
    return clamped(graph, x, *low, *high);
  }
  if (name == "aten::hardsigmoid")
    return graph.insert(c10::aten::div, {shifted(graph, x), graph.insertConstant(6.0)});
  if (name == "aten::hardswish") {
    Value* const sixth = graph.insert(c10::aten::div, {shifted(graph, x), graph.insertConstant(6.0)});
    return graph.insert(c10::aten::mul, {x, sixth});
  }
  return nullptr;
}

int avoid_filler(torch::jit::Block& block, Graph& graph) {
  int count = 0;
  for (auto at = block.nodes().begin(); at != block.nodes().end();) {
    Node* const node = *at++;
    for (torch::jit::Block* inner : node->blocks()) count += avoid_filler(*inner, graph);
    if (node->inputs().empty() || node->outputs().size() != 1 || has_whole_blocks(*node->inputs().at(0)))
      continue;
    torch::jit::WithInsertPoint before(node);
    Value* const value = rewritten(graph, *node);
    if (value == nullptr) continue;
    value->setType(node->output()->type());
    // A reader of the input of an in-place function sees the result.
    if (std::string_view(node->kind().toQualString()).ends_with('_'))
      node->inputs().at(0)->replaceAllUsesAfterNodeWith(node, value);
    node->output()->replaceAllUsesWith(value);
    node->destroy();
    ++count;
  }
  return count;
}

}  // namespace

int align_channels(const std::shared_ptr<Graph>& graph) {
  int grown = 0;
  for (Node* node : graph->nodes()) {
    const auto conv = read(*node);
    if (!conv || conv->groups != 1 || conv->weight.size(0) % kBlock == 0) continue;
    if (auto family = Family::of(*node)) grown += family->widen();
  }
  return grown;
}

int avoid_filler(const std::shared_ptr<Graph>& graph) {
  return avoid_filler(*graph->block(), *graph);
}

}  // namespace graft::libtorch
