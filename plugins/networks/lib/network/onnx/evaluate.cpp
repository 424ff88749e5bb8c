#include "evaluate.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "../printable.h"
#include "elementwise.h"
#include "movement.h"

namespace graft::nn::onnx {
namespace {

const Array& input(const Node& node, const std::vector<ArrayPtr>& inputs, std::size_t i) {
  if (i >= inputs.size() || inputs[i] == nullptr) node.fail(fmt::format("has no input {}", i));
  return *inputs[i];
}

std::vector<ArrayPtr> moved_arrays(const Node& node, std::int64_t opset, const std::vector<ArrayPtr>& inputs,
                                   Effort& effort) {
  std::vector<Operand> operands;
  for (const ArrayPtr& one : inputs) operands.push_back(one ? Operand{one->shape, one.get()} : Operand{});
  const Movement how = movement_of(node, opset, operands);
  const bool is_float = input(node, inputs, how.operands[0]).is_float;
  std::vector<const Array*> from;
  for (const std::size_t i : how.operands) {
    from.push_back(&input(node, inputs, i));
    if (from.back()->is_float != is_float) node.fail("joins whole and real numbers");
  }
  const auto moved = [&](const auto& values_of, auto fill, const Movement::Output& output, auto& to) {
    std::remove_cvref_t<decltype(to)> all;
    const auto* source = &values_of(*from[0]);
    if (from.size() > 1) {
      for (const Array* one : from) all.insert(all.end(), values_of(*one).begin(), values_of(*one).end());
      source = &all;
    }
    if (output.from.empty())
      to = *source;
    else
      std::transform(output.from.begin(), output.from.end(), to.begin(), [&](std::int32_t place) {
        return place == Movement::kFill ? fill : (*source)[static_cast<std::size_t>(place)];
      });
  };
  std::vector<ArrayPtr> out;
  for (const Movement::Output& output : how.outputs) {
    Array to = effort.make(output.shape, is_float);
    if (is_float)
      moved(
          [](const Array& a) -> const auto& { return a.reals; }, static_cast<float>(how.fill), output,
          to.reals);
    else
      moved(
          [](const Array& a) -> const auto& { return a.integers; }, static_cast<std::int64_t>(how.fill),
          output, to.integers);
    out.push_back(std::make_shared<Array>(std::move(to)));
  }
  if (node.op == "Dropout") out.resize(1);
  return out;
}

std::int64_t floor_mod(std::int64_t a, std::int64_t b) {
  const std::int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/// The whole number of a real one; of NaN: 0.
std::int64_t whole(double value) {
  return std::isnan(value) ? 0 : static_cast<std::int64_t>(std::clamp(value, -9e18, 9e18));
}

/// Whole numbers wrap around as 64 bits do.
std::int64_t whole_result(const Node& node, std::int64_t a, std::int64_t b) {
  const auto wrapped = [](auto f, std::int64_t x, std::int64_t y) {
    return static_cast<std::int64_t>(f(static_cast<std::uint64_t>(x), static_cast<std::uint64_t>(y)));
  };
  if (node.op == "Add") return wrapped(std::plus<>(), a, b);
  if (node.op == "Sub") return wrapped(std::minus<>(), a, b);
  if (node.op == "Mul") return wrapped(std::multiplies<>(), a, b);
  if (node.op == "Min") return std::min(a, b);
  if (node.op == "Max") return std::max(a, b);
  if (node.op == "And") return (a != 0) && (b != 0) ? 1 : 0;
  if (node.op == "Or") return (a != 0) || (b != 0) ? 1 : 0;
  if (node.op == "Pow") return whole(std::pow(static_cast<double>(a), static_cast<double>(b)));
  if (b == 0) node.fail("divides by zero");
  if (b == -1) return node.op == "Div" ? wrapped(std::minus<>(), 0, a) : 0;
  if (node.op == "Div") return a / b;
  return node.integer("fmod", 0) != 0 ? a % b : floor_mod(a, b);
}

std::int64_t compared(const Node& node, double a, double b) {
  if (node.op == "Equal") return a == b ? 1 : 0;
  if (node.op == "Less") return a < b ? 1 : 0;
  if (node.op == "LessOrEqual") return a <= b ? 1 : 0;
  if (node.op == "Greater") return a > b ? 1 : 0;
  return a >= b ? 1 : 0;
}

bool is_comparison(const std::string& op) {
  return op == "Equal" || op == "Less" || op == "LessOrEqual" || op == "Greater" || op == "GreaterOrEqual";
}

bool is_pairwise(const std::string& op) {
  return binary_function(op) != nullptr || op == "Mod" || op == "And" || op == "Or" || is_comparison(op);
}

Array pairwise(const Node& node, const Array& a, const Array& b, Effort& effort) {
  if (a.is_float != b.is_float && node.op != "Pow") node.fail("joins whole and real numbers");
  const Shape shape = broadcast(a.shape, b.shape);
  Array out = effort.make(shape, a.is_float && !is_comparison(node.op));
  const auto left = broadcast_places(a.shape, shape), right = broadcast_places(b.shape, shape);
  const auto real = binary_function(node.op);
  for (std::size_t i = 0; i < left.size(); ++i) {
    const auto l = static_cast<std::size_t>(left[i]), r = static_cast<std::size_t>(right[i]);
    if (is_comparison(node.op))
      out.integers[i] = compared(node, a.at(l), b.at(r));
    else if (!a.is_float)
      out.integers[i] =
          b.is_float ? whole(std::pow(a.at(l), b.at(r))) : whole_result(node, a.integers[l], b.integers[r]);
    else if (real != nullptr)
      out.reals[i] = static_cast<float>(real(a.at(l), b.at(r)));
    else if (node.op == "Mod")
      out.reals[i] = static_cast<float>(std::fmod(a.at(l), b.at(r)));
    else
      node.fail("takes booleans, gets real numbers");
  }
  return out;
}

Array cast(const Node& node, const Array& in, Effort& effort) {
  const std::int64_t to = node.integer("to", 0);
  const bool is_float = is_real_type(to);
  Array out = effort.make(in.shape, is_float);
  for (std::size_t i = 0; i < std::max(in.reals.size(), in.integers.size()); ++i)
    if (is_float)
      out.reals[i] = static_cast<float>(in.at(i));
    else if (to == 9)
      out.integers[i] = in.at(i) != 0 ? 1 : 0;
    else if (in.is_float)
      out.integers[i] = whole(in.at(i));
    else
      out.integers[i] = in.integers[i];
  return out;
}

Array range(const Node& node, const std::vector<ArrayPtr>& inputs, Effort& effort) {
  const Array &first = input(node, inputs, 0), &last = input(node, inputs, 1), &step = input(node, inputs, 2);
  if (first.size() != 1 || last.size() != 1 || step.size() != 1 || step.at(0) == 0) node.fail("has no range");
  const double n = std::ceil((last.at(0) - first.at(0)) / step.at(0));
  if (!(n < static_cast<double>(kMostElements))) node.fail("has too long a range");
  Array out = effort.make({static_cast<std::int64_t>(std::max(n, 0.0))}, first.is_float);
  for (std::size_t i = 0; i < count_of(out.shape); ++i) {
    const double value = first.at(0) + static_cast<double>(i) * step.at(0);
    if (first.is_float)
      out.reals[i] = static_cast<float>(value);
    else
      out.integers[i] = whole(value);
  }
  return out;
}

Array constant_of_shape(const Node& node, const std::vector<ArrayPtr>& inputs, Effort& effort) {
  const Array& shape = input(node, inputs, 0);
  if (shape.is_float || shape.shape.size() > 1 || shape.integers.size() > 16) node.fail("has no shape");
  const auto value = node.attributes.find("value");
  const Array* fill = value == node.attributes.end() ? nullptr : value->second.tensor.get();
  if (value != node.attributes.end() && (fill == nullptr || fill->size() != 1)) node.fail("has no value");
  Array out = effort.make(shape.integers, fill == nullptr || fill->is_float);
  if (fill != nullptr && fill->is_float) std::fill(out.reals.begin(), out.reals.end(), fill->reals[0]);
  if (fill != nullptr && !fill->is_float)
    std::fill(out.integers.begin(), out.integers.end(), fill->integers[0]);
  return out;
}

Array constant(const Node& node) {
  if (node.attributes.size() == 1) {
    const auto& [name, value] = *node.attributes.begin();
    if (name == "value" && value.tensor) return *value.tensor;
    if (name == "value_float") return Array::of({}, std::vector<float>{static_cast<float>(value.real)});
    if (name == "value_int") return Array::of({}, std::vector<std::int64_t>{value.integer});
    if (name == "value_floats")
      return Array::of({static_cast<std::int64_t>(value.reals.size())}, value.reals);
    if (name == "value_ints")
      return Array::of({static_cast<std::int64_t>(value.integers.size())}, value.integers);
  }
  node.fail("has no value that is numbers");
}

Array where(const Node& node, const std::vector<ArrayPtr>& inputs, Effort& effort) {
  const Array &which = input(node, inputs, 0), &a = input(node, inputs, 1), &b = input(node, inputs, 2);
  if (a.is_float != b.is_float) node.fail("joins whole and real numbers");
  const Shape shape = broadcast(which.shape, broadcast(a.shape, b.shape));
  Array out = effort.make(shape, a.is_float);
  const auto w = broadcast_places(which.shape, shape), l = broadcast_places(a.shape, shape),
             r = broadcast_places(b.shape, shape);
  for (std::size_t i = 0; i < w.size(); ++i) {
    const bool first = which.at(static_cast<std::size_t>(w[i])) != 0;
    const auto at = static_cast<std::size_t>(first ? l[i] : r[i]);
    if (a.is_float)
      out.reals[i] = (first ? a : b).reals[at];
    else
      out.integers[i] = (first ? a : b).integers[at];
  }
  return out;
}

Array shape_of(const Node& node, const Array& in) {
  const auto rank = static_cast<std::int64_t>(in.shape.size());
  const auto bound = [&](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const std::int64_t first = bound(node.integer("start", 0)), last = bound(node.integer("end", rank));
  std::vector<std::int64_t> out;
  for (std::int64_t i = first; i < last; ++i) out.push_back(in.shape[static_cast<std::size_t>(i)]);
  return Array::of({static_cast<std::int64_t>(out.size())}, out);
}

Array unary(const Node& node, const std::vector<ArrayPtr>& inputs, const std::function<double(double)>& f,
            Effort& effort) {
  const Array& in = input(node, inputs, 0);
  Array out = effort.make(in.shape, in.is_float);
  for (std::size_t i = 0; i < in.reals.size(); ++i) out.reals[i] = static_cast<float>(f(in.at(i)));
  for (std::size_t i = 0; i < in.integers.size(); ++i) out.integers[i] = whole(f(in.at(i)));
  return out;
}

Array single(const Node& node, std::int64_t opset, const std::vector<ArrayPtr>& inputs, Effort& effort) {
  if (!node.domain.empty() && node.domain != "ai.onnx" && node.domain != "com.microsoft")
    node.fail(
        fmt::format("is of the domain '{}', whose operators are not known", nn::printable(node.domain)));
  if (node.op == "Constant") return constant(node);
  if (const Evaluate layer = layer_evaluation(node.op)) return layer(node, opset, inputs, effort);
  if (is_pairwise(node.op)) {
    Array out = pairwise(node, input(node, inputs, 0), input(node, inputs, 1), effort);
    for (std::size_t i = 2; i < inputs.size(); ++i) out = pairwise(node, out, input(node, inputs, i), effort);
    return out;
  }
  std::vector<Operand> operands;
  for (const ArrayPtr& one : inputs) operands.push_back(one ? Operand{one->shape, one.get()} : Operand{});
  if (const auto f = unary_function(node, operands)) return unary(node, inputs, *f, effort);
  if (node.op == "Cast") return cast(node, input(node, inputs, 0), effort);
  if (node.op == "Shape") return shape_of(node, input(node, inputs, 0));
  if (node.op == "Size") return Array::of({}, std::vector<std::int64_t>{input(node, inputs, 0).size()});
  if (node.op == "Range") return range(node, inputs, effort);
  if (node.op == "ConstantOfShape") return constant_of_shape(node, inputs, effort);
  if (node.op == "Where") return where(node, inputs, effort);
  if (node.op == "Not")
    return unary(
        node, inputs, [](double x) { return x == 0 ? 1.0 : 0.0; }, effort);
  if (node.op == "Sum" && inputs.size() == 1) return input(node, inputs, 0);
  node.fail(fmt::format("is an operator that graft does not know (opset {})", opset));
}

}  // namespace

Array Effort::make(Shape shape, bool is_float) {
  const auto count = static_cast<std::int64_t>(count_of(shape));
  if (count > elements_) throw Error("a graph that takes more memory than any network of its size");
  elements_ -= count;
  work(count);
  return Array::zeros(std::move(shape), is_float);
}

void Effort::work(std::int64_t steps) {
  if (steps < 0 || steps > steps_) throw Error("a graph that takes more time than any network of its size");
  steps_ -= steps;
}

std::vector<ArrayPtr> evaluate(const Node& node, std::int64_t opset, const std::vector<ArrayPtr>& inputs,
                               Effort& effort) {
  if (is_movement(node.op)) return moved_arrays(node, opset, inputs, effort);
  return {std::make_shared<Array>(single(node, opset, inputs, effort))};
}

std::vector<ArrayPtr> evaluate_graph(const Graph& graph, const std::map<std::string, ArrayPtr>& given,
                                     Effort& effort) {
  std::map<std::string, ArrayPtr> values = given;
  for (const auto& [name, array] : graph.initializers) values.insert_or_assign(name, array);
  std::map<std::string, std::size_t> uses;
  for (const Node& node : graph.nodes)
    for (const std::string& name : node.inputs) ++uses[name];
  for (const GraphValue& output : graph.outputs) ++uses[output.name];
  for (const Node& node : graph.nodes) {
    std::vector<ArrayPtr> inputs;
    for (const std::string& name : node.inputs) {
      const auto found = values.find(name);
      if (!name.empty() && found == values.end())
        node.fail(fmt::format("takes '{}', which is not computed", nn::printable(name)));
      inputs.push_back(name.empty() ? nullptr : found->second);
    }
    std::vector<ArrayPtr> made = evaluate(node, graph.opset, inputs, effort);
    for (std::size_t i = 0; i < node.outputs.size() && i < made.size(); ++i)
      if (!node.outputs[i].empty()) values.insert_or_assign(node.outputs[i], std::move(made[i]));
    inputs.clear();
    for (const std::string& name : node.inputs)
      if (!name.empty() && --uses[name] == 0) {
        if (!graph.initializers.contains(name)) effort.forget(values.at(name)->size());
        values.erase(name);
      }
  }
  std::vector<ArrayPtr> out;
  for (const GraphValue& output : graph.outputs) {
    const auto found = values.find(output.name);
    if (found == values.end())
      throw Error(fmt::format("its output '{}' is not computed", nn::printable(output.name)));
    out.push_back(found->second);
  }
  return out;
}

}  // namespace graft::nn::onnx
