#include <network/architecture_value.h>

#include <limits>

#include <fmt/format.h>

#include <graft/error.h>

#include <network/operation.h>

namespace graft::nn {
namespace {

const Value& member(const Value& value, const char* name) {
  if (const Value* found = value.find(name)) return *found;
  throw Error(fmt::format("a network without `{}`: it was damaged, or written by another version", name));
}

Op op_named(const std::string& name) {
  for (const Operation& operation : operations())
    if (name == operation.name) return operation.op;
  throw Error(fmt::format(
      "a network with a layer '{}', which does not exist: it was written by a newer version", name));
}

/// Of the rules up to `last`; `what` they are for.
template <typename Rule>
Rule rule_named(const std::string& name, Rule last, const char* what) {
  for (int rule = 0; rule <= static_cast<int>(last); ++rule)
    if (name == to_string(static_cast<Rule>(rule))) return static_cast<Rule>(rule);
  throw Error(fmt::format(
      "a network with {} by the rule '{}', which does not exist: it was written by a newer version", what,
      name));
}

// A Linear may take all that an image has.
constexpr int kMostValues = std::numeric_limits<std::int32_t>::max() / 4;

/// Whole numbers of a layer that are left out where they are as usual.
struct Number {
  const char* name;
  int Layer::*member;
  int low, high;
};
constexpr Number kNumbers[] = {
    {"stride", &Layer::stride, 1, kMaxSide},
    {"groups", &Layer::groups, 1, kMostValues},
    {"size", &Layer::size, 1, kMaxSide},
    {"heads", &Layer::heads, 1, kMaxWidth},
    {"prefix", &Layer::prefix, 0, kMaxWidth},
    {"grid_height", &Layer::grid_height, 0, kMaxSide},
    {"grid_width", &Layer::grid_width, 0, kMaxSide},
    {"first", &Layer::first, 0, kMaxWidth},
    {"count", &Layer::count, 0, kMaxWidth},
    {"dilation", &Layer::dilation, 1, kMaxSide},
    {"shift", &Layer::shift, 0, kMaxSide},
};

/// The fields of a layer that may be left out.
struct Fields {
  const Layer usual = {};
  Value out = Value::map();

  void add(const char* name, int value, int left_out) {
    if (value != left_out) out[name] = value;
  }
  void add(const char* name, double value, double left_out) {
    if (value != left_out) out[name] = value;
  }
};

int number(const Value& value, const char* name, int low, int high) {
  const std::int64_t given = value.as_int();
  if (given < low || given > high)
    throw Error(
        fmt::format("a network with a layer whose `{}` is {}: expected {} to {}", name, given, low, high));
  return static_cast<int>(given);
}

int number(const Value& layer, const char* name, int low, int high, int left_out) {
  const Value* found = layer.find(name);
  return found == nullptr ? left_out : number(*found, name, low, high);
}

Extent extent_from(const Value& value, const char* name) {
  if (!value.is_list()) return number(value, name, 1, kMaxSide);
  const auto& sides = value.as_list();
  if (sides.size() != 2)
    throw Error(fmt::format("a network with a layer whose `{}` has not two sides", name));
  return {number(sides[0], name, 1, kMaxSide), number(sides[1], name, 1, kMaxSide)};
}

double number(const Value& layer, const char* name, double left_out) {
  const Value* found = layer.find(name);
  return found == nullptr ? left_out : found->as_double();
}

}  // namespace

Value to_value(const Architecture& architecture) {
  Value layers = Value::list();
  for (const Layer& layer : architecture.layers) {
    Fields f;
    f.out["name"] = layer.name;
    f.out["op"] = to_string(layer.op);
    f.out["from"] = Value::List(layer.from.begin(), layer.from.end());
    f.out["in"] = layer.in;
    f.out["out"] = layer.out;
    if (layer.kernel.height != layer.kernel.width)
      f.out["kernel"] = Value::List{layer.kernel.height, layer.kernel.width};
    else
      f.add("kernel", layer.kernel.height, f.usual.kernel.height);
    for (const Number& number : kNumbers) f.add(number.name, layer.*number.member, f.usual.*number.member);
    if (layer.padding != nn::Padding{})
      f.out["padding"] =
          Value::List{layer.padding.top, layer.padding.left, layer.padding.bottom, layer.padding.right};
    if (layer.padding_rule != f.usual.padding_rule) f.out["padding_rule"] = to_string(layer.padding_rule);
    if (layer.count_padding) f.out["count_padding"] = true;
    if (layer.bias) f.out["bias"] = true;
    f.add("eps", layer.eps, f.usual.eps);
    f.add("momentum", layer.momentum, f.usual.momentum);
    f.add("dropout", layer.dropout, f.usual.dropout);
    if (layer.positions != f.usual.positions) f.out["positions"] = to_string(layer.positions);
    if (layer.windows != f.usual.windows) f.out["windows"] = to_string(layer.windows);
    for (const double period : layer.rope_periods) f.out["rope_periods"].push(period);
    layers.push(std::move(f.out));
  }
  Value out = Value::Map{{"name", architecture.name}, {"layers", std::move(layers)}};
  if (architecture.only) out["only"] = Value::List{architecture.only->height, architecture.only->width};
  return out;
}

Architecture architecture_from(const Value& value) {
  Architecture net;
  net.name = member(value, "name").as_string();
  constexpr std::size_t kMostLayers = 100'000;
  const Value::List& layers = member(value, "layers").as_list();
  if (layers.size() > kMostLayers)
    throw Error(fmt::format("a network of {} layers: expected at most {}", layers.size(), kMostLayers));
  for (const Value& v : layers) {
    const Layer usual;
    Layer layer;
    layer.name = member(v, "name").as_string();
    layer.op = op_named(member(v, "op").as_string());
    for (const Value& from : member(v, "from").as_list()) layer.from.push_back(from.as_string());
    layer.in = number(v, "in", 1, kMostValues, 1);
    layer.out = number(v, "out", 1, kMostValues, 1);
    if (const Value* kernel = v.find("kernel")) layer.kernel = extent_from(*kernel, "kernel");
    for (const Number& n : kNumbers) layer.*n.member = number(v, n.name, n.low, n.high, usual.*n.member);
    if (const Value* padding = v.find("padding")) {
      const auto& sides = padding->as_list();
      if (sides.size() != 4) throw Error("a network with a layer whose `padding` has not four sides");
      const auto side = [&](std::size_t i) { return number(sides[i], "padding", 0, kMaxSide); };
      layer.padding = {side(0), side(1), side(2), side(3)};
    }
    if (const Value* rule = v.find("padding_rule"))
      layer.padding_rule = rule_named(rule->as_string(), PaddingRule::Multiple, "padding");
    if (const Value* count = v.find("count_padding")) layer.count_padding = count->as_bool();
    if (const Value* bias = v.find("bias")) layer.bias = bias->as_bool();
    layer.eps = number(v, "eps", usual.eps);
    layer.momentum = number(v, "momentum", usual.momentum);
    layer.dropout = number(v, "dropout", usual.dropout);
    if (const Value* rule = v.find("positions"))
      layer.positions = rule_named(rule->as_string(), PositionRule::Torchvision, "positions");
    if (const Value* rule = v.find("windows"))
      layer.windows = rule_named(rule->as_string(), WindowRule::Grid, "windows");
    if (const Value* periods = v.find("rope_periods"))
      for (const Value& period : periods->as_list()) layer.rope_periods.push_back(period.as_double());
    net.layers.push_back(std::move(layer));
  }
  if (const Value* only = value.find("only")) {
    if (!only->is_list()) throw Error("a network whose `only` is no size of images: it was damaged");
    net.only = extent_from(*only, "only");
  }
  if (net.layers.empty()) throw Error("a network without layers: it was damaged");
  net.tap = net.layers.back().name;
  return net;
}

}  // namespace graft::nn
