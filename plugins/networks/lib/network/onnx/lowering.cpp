#include "lowering.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "../printable.h"
#include "elementwise.h"

namespace graft::nn::onnx {
namespace {

/// What folding may take at once beside the weights, and in all.
constexpr std::int64_t kFoldedElements = std::int64_t{1} << 23, kFoldedSteps = std::int64_t{1} << 25;

std::int64_t elements_of_weights(const Graph& graph) {
  std::int64_t out = 0;
  for (const auto& [name, array] : graph.initializers) out += array->size();
  return out;
}

}  // namespace

std::int64_t folding_steps(const Graph& graph) {
  return kFoldedSteps + 16 * elements_of_weights(graph);
}

View View::with(Shape new_shape, std::vector<std::int32_t> new_places, std::size_t layer_size) const {
  View out = *this;
  out.shape = std::move(new_shape);
  bool in_order = new_places.size() == layer_size;
  for (std::size_t i = 0; in_order && i < new_places.size(); ++i)
    in_order = new_places[i] == static_cast<std::int32_t>(i);
  if (in_order) {
    out.places = nullptr;
    out.fixed = nullptr;
  } else {
    out.places = std::make_shared<const std::vector<std::int32_t>>(std::move(new_places));
  }
  return out;
}

Lowering::Lowering(const Graph& graph, int height, int width, std::int64_t steps)
    : graph_(graph),
      net_({3, height, width}),
      effort_(kFoldedElements + 4 * elements_of_weights(graph), steps) {
  for (const Node& node : graph.nodes) {
    for (const std::string& name : node.inputs) ++uses_[name];
    for (const std::string& name : node.outputs) makers_[name] = &node;
  }
  for (const GraphValue& value : graph.outputs) ++uses_[value.name];
  norms_ = long_layer_norms(graph);
  for (const auto& [name, norm] : norms_) ++uses_[norm.value];
  for (const auto& [name, array] : graph.initializers) entries_.emplace(name, GraphEntry(array));
  const GraphValue& image = graph.inputs.at(0);
  View in;
  in.shape = {1, 3, height, width};
  if (has_rows_of_pixels(image)) {  // rows of pixels, as TensorFlow has them
    std::vector<std::int32_t> places;
    if (in.size() > kMostPlaces)
      throw Error(fmt::format(
          "takes images of {} x {} px: at most {} values are possible where the channels are last", width,
          height, kMostPlaces));
    const std::int32_t area = height * width;
    for (std::int32_t i = 0; i < 3 * area; ++i) places.push_back(i % 3 * area + i / 3);
    in = in.with({1, height, width, 3}, std::move(places), count_of(in.shape));
  }
  entries_.insert_or_assign(image.name, GraphEntry(std::move(in)));
}

const Node* Lowering::maker(const std::string& name) const {
  const auto found = makers_.find(name);
  return found == makers_.end() ? nullptr : found->second;
}

const GraphEntry& Lowering::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) throw Error(fmt::format("'{}' is not computed", nn::printable(name)));
  return found->second;
}

const GraphEntry& Lowering::entry(const Node& node, std::size_t input) const {
  if (!node.has_input(input)) node.fail(fmt::format("has no input {}", input));
  return entry(node.inputs[input]);
}

const View& Lowering::view(const Node& node, std::size_t input) const {
  const GraphEntry& found = entry(node, input);
  if (found.kind == GraphEntry::Kind::Error) throw Error(found.error);
  if (found.kind == GraphEntry::Kind::Scores)
    node.fail("takes products of queries and keys: no operation of graft does that to them");
  if (found.kind == GraphEntry::Kind::Constant)
    node.fail(fmt::format("takes a constant as its input {}, where the image's values are expected", input));
  return found.view;
}

const Array* Lowering::constant(const Node& node, std::size_t input) const {
  if (!node.has_input(input)) return nullptr;
  const GraphEntry& found = entry(node, input);
  return found.kind == GraphEntry::Kind::Constant ? found.constant.get() : nullptr;
}

std::vector<Operand> Lowering::operands(const Node& node) const {
  std::vector<Operand> out;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    Operand one;
    if (node.has_input(i)) {
      const GraphEntry& found = entry(node, i);
      if (found.kind == GraphEntry::Kind::Error) throw Error(found.error);
      one.constant = constant(node, i);
      one.shape = one.constant != nullptr                  ? one.constant->shape
                  : found.kind == GraphEntry::Kind::Scores ? found.scores_shape
                                                           : found.view.shape;
    }
    out.push_back(std::move(one));
  }
  return out;
}

void Lowering::give(const Node& node, View view) {
  entries_.insert_or_assign(node.outputs.at(0), GraphEntry(std::move(view)));
}

/// Computes what depends on constants alone, and shapes.
bool Lowering::fold(const Node& node) {
  std::vector<ArrayPtr> inputs;
  const bool is_shape = node.op == "Shape" || node.op == "Size";
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (!node.has_input(i)) {
      inputs.push_back(nullptr);
      continue;
    }
    const GraphEntry& one = entry(node, i);
    if (one.kind == GraphEntry::Kind::Error && is_shape) throw Error(one.error);
    if (one.kind != GraphEntry::Kind::Constant && !is_shape) return false;
    if (one.kind == GraphEntry::Kind::Constant) {
      inputs.push_back(one.constant);
      continue;
    }
    Array shaped;
    shaped.shape = one.kind == GraphEntry::Kind::Scores ? one.scores_shape : one.view.shape;
    inputs.push_back(std::make_shared<Array>(std::move(shaped)));
  }
  const std::vector<ArrayPtr> made = evaluate(node, graph_.opset, inputs, effort_);
  for (std::size_t i = 0; i < node.outputs.size() && i < made.size(); ++i)
    entries_.insert_or_assign(node.outputs[i], GraphEntry(made[i]));
  return true;
}

void Lowering::make(const Node& node) {
  if (node.outputs.empty()) return;
  if (fold(node)) return;
  if (!node.domain.empty() && node.domain != "ai.onnx" && node.domain != "com.microsoft")
    node.fail(fmt::format("is of the domain '{}': export the model with standard operators",
                          nn::printable(node.domain)));
  if (score_shape(node)) return;
  if (is_movement(node.op)) return move(node);
  if (node.op == "Cast" && !is_real_type(node.integer("to", 0)))
    node.fail("makes whole numbers or booleans of the image's values: no operation of graft does that");
  if (node.op == "Cast" || (node.op == "Sum" && node.inputs.size() == 1)) return give(node, view(node, 0));
  if (node.op == "Conv") return conv(node);
  if (node.op == "MaxPool" || node.op == "AveragePool") return pool(node);
  if (node.op == "BatchNormalization") return batch_norm(node);
  if (node.op == "LayerNormalization") return layer_norm(node);
  if (node.op == "GlobalAveragePool") return reduce_mean(node, {2, 3}, true);
  if (node.op == "ReduceMean") {
    auto axes = node.integers("axes");
    if (const Array* given = constant(node, 1); given != nullptr && !given->is_float) axes = given->integers;
    if (!axes) node.fail("takes the mean over the batch, too");
    return reduce_mean(node, *axes, node.integer("keepdims", 1) != 0);
  }
  if (node.op == "Gemm") return linear(node);
  if (node.op == "MatMul") return constant(node, 1) != nullptr ? linear(node) : scores(node);
  if (node.op == "Softmax") return softmax(node);
  if (long_layer_norm(node)) return;
  if (binary_function(node.op) != nullptr && node.inputs.size() == 2) {
    if (score_arithmetic(node)) return;
    return binary(node);
  }
  if (unary_function(node, operands(node))) return unary(node);
  node.fail(fmt::format(
      "is an operator of opset {} that graft cannot make a layer of: it knows convolutions, linear "
      "layers, pools, norms, activations, attention and what moves elements about; export the "
      "model as TorchScript",
      graph_.opset));
}

void Lowering::lower(const Node& node) {
  try {
    make(node);
  } catch (const Error& fault) {
    for (const std::string& name : node.outputs)
      entries_.insert_or_assign(name, GraphEntry(std::string(fault.what())));
  }
  for (const std::string& name : node.outputs)
    if (!entries_.contains(name))
      entries_.emplace(name, GraphEntry(fmt::format("{} has an output '{}' that is not computed",
                                                    node.title(), nn::printable(name))));
}

/// What nobody takes any more is let go: places of large values are many.
void Lowering::let_go(const std::string& name) {
  if (name.empty() || --uses_[name] > 0) return;
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  if (found->second.constant && !graph_.initializers.contains(name))
    effort_.forget(found->second.constant->size());
  entries_.erase(found);
}

void Lowering::release(const Node& node) {
  for (const std::string& name : node.inputs) let_go(name);
  for (const std::string& name : node.outputs)
    if (const auto norm = norms_.find(name); norm != norms_.end()) let_go(norm->second.value);
}

/// The layer of the output that tasks start from: a vector where one is, else the mean of an image, else the
/// class token.
LayerId Lowering::output(std::vector<std::string>& notes) {
  const Node none{"output", "", "output", {}, {"output"}, {}};
  std::string error;
  const auto taken = [&](const std::string& name, bool any) -> std::optional<LayerId> {
    const GraphEntry& found = entry(name);
    if (found.kind == GraphEntry::Kind::Error && error.empty()) error = found.error;
    if (found.kind != GraphEntry::Kind::View) return {};
    View value = resolved(none, found.view);
    const std::size_t longest =
        static_cast<std::size_t>(*std::max_element(value.shape.begin(), value.shape.end()));
    const bool is_vector = !value.shape.empty() && value.size() == longest && !value.fixed;
    if (is_vector) {
      value.shape = {1, static_cast<std::int64_t>(longest)};
      const Rows rows = need_rows(none, value);
      if (!value.places) return value.layer;
      if (net_.is_tokens(value.layer)) return token_vector(none, value, rows);
      return {};
    }
    if (!any || value.places || value.fixed || value.layer == kImage) return {};
    if (net_.is_image(value.layer)) {
      notes.push_back(fmt::format("guessed: features are the means of the channels of the output '{}'",
                                  nn::printable(name)));
      Layer pool;
      pool.op = Op::GlobalPool;
      return net_.add(pool, {value.layer}, {}, "avgpool");
    }
    if (net_.is_tokens(value.layer)) {
      notes.push_back(
          fmt::format("guessed: features are the first token of the output '{}'", nn::printable(name)));
      Layer token;
      token.op = Op::TokenMean;
      token.out = net_.channels(value.layer);
      token.count = 1;
      return net_.add(token, {value.layer}, {}, "token");
    }
    return {};
  };
  for (const bool any : {false, true})
    for (const GraphValue& value : graph_.outputs)
      if (const auto found = taken(value.name, any)) {
        if (graph_.outputs.size() > 1)
          notes.push_back(fmt::format("of its {} outputs, '{}' is taken", graph_.outputs.size(),
                                      nn::printable(value.name)));
        return *found;
      }
  // Probabilities of classes: their logits are what a network computes here.
  for (const GraphValue& value : graph_.outputs)
    if (const Node* last = maker(value.name); last != nullptr && last->op == "Softmax" && last->has_input(0))
      if (const auto found = taken(last->inputs[0], false)) {
        notes.push_back("its last Softmax is left out: logits, not probabilities");
        return *found;
      }
  throw Error(error.empty() ? fmt::format("its output '{}' is not made of the image's values",
                                          nn::printable(graph_.outputs.at(0).name))
                            : error);
}

NamedNetwork Lowering::run(std::vector<std::string>& notes) {
  for (const GraphValue& value : graph_.outputs)  // kept, also below a last Softmax
    if (const Node* last = maker(value.name); last != nullptr)
      for (const std::string& name : last->inputs) ++uses_[name];
  for (const Node& node : graph_.nodes) {
    lower(node);
    release(node);
  }
  return finished(net_, output(notes), notes);
}

}  // namespace graft::nn::onnx
