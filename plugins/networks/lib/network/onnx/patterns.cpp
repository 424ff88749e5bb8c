#include "patterns.h"

#include <optional>

namespace graft::nn::onnx {
namespace {

class NormFinder {
 public:
  explicit NormFinder(const Graph& graph) : graph_(graph) {
    for (const Node& node : graph.nodes)
      for (const std::string& name : node.outputs) makers_[name] = &node;
  }

  std::map<std::string, LongLayerNorm> run() const {
    std::map<std::string, LongLayerNorm> out;
    for (const Node& node : graph_.nodes)
      if (node.outputs.size() == 1)
        if (const auto found = at(node)) out.emplace(node.outputs[0], *found);
    return out;
  }

 private:
  static bool is(const Node* node, const char* op, std::size_t inputs) {
    return node != nullptr && node->op == op && node->inputs.size() >= inputs && node->outputs.size() == 1;
  }

  /// Casts to another width change nothing here.
  std::string origin(std::string name) const {
    for (const Node* node = maker(name); is(node, "Cast", 1) || is(node, "Identity", 1); node = maker(name))
      name = node->inputs[0];
    return name;
  }
  const Node* maker(const std::string& name) const {
    const auto found = makers_.find(name);
    return found == makers_.end() ? nullptr : found->second;
  }
  const Node* maker_of(const Node& node, std::size_t input) const {
    return maker(origin(node.inputs[input]));
  }

  const Array* constant(const std::string& name) const {
    const std::string from = origin(name);
    if (const auto found = graph_.initializers.find(from); found != graph_.initializers.end())
      return found->second.get();
    const Node* node = maker(from);
    if (node == nullptr || node->op != "Constant" || !node->has("value")) return nullptr;
    return node->attributes.at("value").tensor.get();
  }
  std::optional<double> number(const std::string& name) const {
    if (const Array* found = constant(name); found != nullptr && found->size() == 1) return found->at(0);
    const Node* node = maker(origin(name));
    return node != nullptr && node->op == "Constant" && node->has("value_float")
               ? std::optional(node->real("value_float", 0))
               : std::nullopt;
  }

  std::optional<std::int64_t> axis_of_mean(const Node* node) const {
    if (!is(node, "ReduceMean", 1) || node->integer("keepdims", 1) == 0) return {};
    std::vector<std::int64_t> axes = node->integers("axes").value_or(std::vector<std::int64_t>());
    if (node->has_input(1))
      if (const Array* given = constant(node->inputs[1]); given != nullptr && !given->is_float)
        axes = given->integers;
    return axes.size() == 1 ? std::optional(axes[0]) : std::nullopt;
  }

  bool is_square_of(const Node* node, const Node& centred) const {
    const bool pow = is(node, "Pow", 2) && number(node->inputs[1]) == 2.0;
    const bool mul = is(node, "Mul", 2) && origin(node->inputs[0]) == origin(node->inputs[1]);
    if (!pow && !mul) return false;
    const Node* base = maker_of(*node, 0);
    return is(base, "Sub", 2) && origin(base->inputs[0]) == origin(centred.inputs[0]) &&
           (base == &centred || origin(base->inputs[1]) == origin(centred.inputs[1]));
  }

  std::optional<LongLayerNorm> at(const Node& node) const {
    const Node *centred = nullptr, *root = nullptr;
    if (is(&node, "Div", 2)) {
      centred = maker_of(node, 0);
      root = maker_of(node, 1);
    } else if (is(&node, "Mul", 2)) {
      for (const std::size_t i : {0U, 1U})
        if (const Node* inverse = maker_of(node, i); is(inverse, "Reciprocal", 1)) {
          centred = maker_of(node, 1 - i);
          root = maker_of(*inverse, 0);
        }
    }
    if (!is(centred, "Sub", 2) || !is(root, "Sqrt", 1)) return {};
    const Node *mean = maker_of(*centred, 1), *sum = maker_of(*root, 0);
    const auto axis = axis_of_mean(mean);
    if (!axis || origin(mean->inputs[0]) != origin(centred->inputs[0]) || !is(sum, "Add", 2)) return {};
    for (const std::size_t i : {0U, 1U}) {
      const auto eps = number(sum->inputs[i]);
      const Node* variance = maker_of(*sum, 1 - i);
      if (eps && axis_of_mean(variance) == axis && is_square_of(maker_of(*variance, 0), *centred))
        return LongLayerNorm{centred->inputs[0], *axis, *eps};
    }
    return {};
  }

  const Graph& graph_;
  std::map<std::string, const Node*> makers_;
};

}  // namespace

std::map<std::string, LongLayerNorm> long_layer_norms(const Graph& graph) {
  return NormFinder(graph).run();
}

}  // namespace graft::nn::onnx
