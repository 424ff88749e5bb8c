#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "../printable.h"
#include "elementwise.h"
#include "lowering.h"

namespace graft::nn::onnx {
namespace {

bool same_elements(const View& a, const View& b) {
  if (a.layer != b.layer || a.shape != b.shape || a.fixed != b.fixed) return false;
  return a.places == b.places || (a.places && b.places && *a.places == *b.places);
}

bool same_order(const View& a, const View& b) {
  if (a.size() != b.size() || a.fixed || b.fixed) return false;
  return a.places == b.places || (a.places && b.places && *a.places == *b.places);
}

}  // namespace

View Lowering::sampled(const Node& node, const View& view, const std::function<double(double)>& f) {
  Samples out = view.samples ? *view.samples : sample_points();
  std::transform(out.begin(), out.end(), out.begin(), f);
  View made = view;
  made.samples = std::make_shared<const Samples>(std::move(out));
  made.sampled_by = node.path();
  return made;
}

void Lowering::unary(const Node& node) {
  const auto f = unary_function(node, operands(node));
  const View& in = view(node, 0);
  give(node, sampled(node, in.fixed ? resolved(node, in) : in, *f));
}

/// The value with its activation done, as a layer.
View Lowering::resolved(const Node& node, const View& view) {
  if (!view.samples) return view;
  const auto key = std::pair(view.layer, view.samples);
  const auto in_place_of = [&](const View& done) {
    View out = view;
    out.layer = done.layer;
    out.samples = nullptr;
    return out;
  };
  if (const auto found = resolved_.find(key); found != resolved_.end() && !view.fixed)
    return in_place_of(found->second);
  if (view.fixed) node.fail("takes an activation of constants among the image's values");
  const auto known = known_function(*view.samples);
  if (!known)
    node.fail(
        fmt::format("takes what node '{}' makes, alone or with the operators before it: not one of the "
                    "activations that graft knows (Relu, Relu6, Silu, Sigmoid, Gelu, QuickGelu, "
                    "HardSigmoid, HardSwish, Tanh); export the model as TorchScript",
                    nn::printable(view.sampled_by)));
  View whole;
  whole.layer = view.layer;
  whole.shape = net_.shape(view.layer);
  if (known->op) {
    Layer layer;
    layer.op = *known->op;
    whole.layer = net_.add(layer, {view.layer}, {}, view.sampled_by);
  } else if (known->factor != 1 || known->offset != 0) {
    const auto channels = static_cast<std::size_t>(net_.channels(view.layer));
    whole = affine(node, whole, std::vector<double>(channels, known->factor),
                   std::vector<double>(channels, known->offset));
  }
  resolved_.emplace(key, whole);
  return in_place_of(whole);
}

/// factor x + offset for each channel. It goes into the layer before, where that has weights: the layer is
/// made again, and the old one is dropped unless others take it.
View Lowering::affine(const Node& node, const View& view, const std::vector<double>& factor,
                      const std::vector<double>& offset) {
  const auto is = [](const std::vector<double>& all, double v) {
    return std::all_of(all.begin(), all.end(), [&](double one) { return one == v; });
  };
  View out = view;
  const std::size_t channels = factor.size();
  if (view.layer != kImage) {
    const Network::Made before = net_[view.layer];
    const Op op = before.layer.op;
    Weights weights = before.weights;
    Layer layer = before.layer;
    const bool is_linear = op == Op::Conv || op == Op::Linear,
               is_norm = op == Op::LayerNorm || op == Op::BatchNorm;
    if (is_linear || is_norm || (op == Op::LayerScale && is(offset, 0))) {
      std::vector<float>& scaled = weights.at(op == Op::LayerScale ? "gamma" : "weight");
      const std::size_t each = scaled.size() / channels;
      for (std::size_t i = 0; i < scaled.size(); ++i)
        scaled[i] = static_cast<float>(static_cast<double>(scaled[i]) * factor[i / each]);
      if (op != Op::LayerScale && (layer.bias || is_norm || !is(offset, 0))) {
        std::vector<float>& bias = weights["bias"];
        bias.resize(channels);
        if (is_linear) layer.bias = true;
        for (std::size_t c = 0; c < channels; ++c)
          bias[c] = static_cast<float>(static_cast<double>(bias[c]) * factor[c] + offset[c]);
      }
      out.layer = net_.add(layer, before.from, std::move(weights), before.name);
      return out;
    }
  }
  const auto floats = [](const std::vector<double>& all) {
    return std::vector<float>(all.begin(), all.end());
  };
  Layer layer;
  if (is(offset, 0)) {
    layer.op = Op::LayerScale;
    out.layer = net_.add(layer, {view.layer}, {{"gamma", floats(factor)}}, node.path());
    return out;
  }
  if (!net_.is_image(view.layer))
    node.fail(fmt::format(
        "adds a constant to {}, which no linear layer or norm makes: no operation of graft does that",
        to_string(net_.shape(view.layer))));
  layer.op = Op::BatchNorm;
  layer.eps = 0;
  out.layer = net_.add(layer, {view.layer},
                       {{"weight", floats(factor)},
                        {"bias", floats(offset)},
                        {"running_mean", std::vector<float>(channels, 0.0F)},
                        {"running_var", std::vector<float>(channels, 1.0F)}},
                       node.path());
  return out;
}

void Lowering::binary(const Node& node) {
  const Array *left = constant(node, 0), *right = constant(node, 1);
  if (left != nullptr || right != nullptr) {
    const Array& other = left != nullptr ? *left : *right;
    const View& value = view(node, left != nullptr ? 1 : 0);
    if (!other.is_float) node.fail("joins whole and real numbers");
    if (binary_constant(node, value, other, left != nullptr)) return;
    node.fail(fmt::format(
        "joins {} with a constant {} that is neither one number nor one per channel: no operation "
        "of graft does that",
        to_string(value.shape), to_string(other.shape)));
  }
  View a = view(node, 0), b = view(node, 1);
  if (same_elements(a, b) && !a.fixed) {
    const auto f = binary_function(node.op);
    const Samples &x = a.samples ? *a.samples : sample_points(),
                  &y = b.samples ? *b.samples : sample_points();
    Samples out(x.size());
    std::transform(x.begin(), x.end(), y.begin(), out.begin(), f);
    View made = a;
    made.samples = std::make_shared<const Samples>(std::move(out));
    made.sampled_by = node.path();
    return give(node, std::move(made));
  }
  binary_views(node, std::move(a), std::move(b));
}

/// Add, Sub, Mul or Div with a number for each channel; NaN: the channel is left as it is.
View Lowering::per_channel(const Node& node, const View& in, const std::vector<double>& number,
                           bool reversed) {
  std::vector<double> factor(number.size(), 1), offset(number.size(), 0);
  for (std::size_t c = 0; c < number.size(); ++c) {
    if (std::isnan(number[c])) continue;
    if (node.op == "Add" || node.op == "Sub")
      offset[c] = node.op == "Add" || reversed ? number[c] : -number[c];
    if (node.op == "Sub" && reversed) factor[c] = -1;
    if (node.op == "Mul") factor[c] = number[c];
    if (node.op == "Div") factor[c] = 1 / number[c];
  }
  return affine(node, in, factor, offset);
}

bool Lowering::binary_constant(const Node& node, const View& value, const Array& other, bool reversed) {
  const auto f = binary_function(node.op);
  const Shape shape = broadcast(value.shape, other.shape);
  if (count_of(shape) != value.size())
    node.fail(fmt::format("repeats {} to {}", to_string(value.shape), to_string(shape)));
  if (other.size() == 1 && !value.fixed) {
    const double number = other.at(0);
    View out = sampled(node, value, [&](double x) { return reversed ? f(number, x) : f(x, number); });
    out.shape = shape;
    give(node, std::move(out));
    return true;
  }
  if (node.op != "Add" && node.op != "Sub" && node.op != "Mul" && node.op != "Div") return false;
  if (reversed && node.op == "Div") return false;
  View in = resolved(node, value);
  in.shape = shape;
  const auto channels = static_cast<std::size_t>(net_.channels(in.layer));
  const std::size_t area = static_cast<std::size_t>(net_.places(in.layer));
  const bool is_image = net_.is_image(in.layer);
  if (!in.places && is_image && shape.size() == 4 && other.size() == static_cast<std::int64_t>(channels) &&
      broadcast(other.shape, {1, shape[1], 1, 1}) == Shape{1, shape[1], 1, 1}) {
    std::vector<double> each(channels);
    for (std::size_t c = 0; c < channels; ++c) each[c] = other.at(c);
    give(node, per_channel(node, in, each, reversed));
    return true;
  }
  need_few(node, in.size());
  const std::vector<std::int32_t> places = broadcast_places(other.shape, shape);
  std::vector<double> number(channels, std::numeric_limits<double>::quiet_NaN());
  bool is_per_channel = !in.fixed;
  for (std::size_t i = 0; is_per_channel && i < places.size(); ++i) {
    const auto at = static_cast<std::size_t>(in.place(i));
    double& known = number[is_image ? at / area : at % channels];
    const double here = other.at(static_cast<std::size_t>(places[i]));
    if (std::isnan(known)) known = here;
    is_per_channel = known == here;
  }
  if (is_per_channel) {
    give(node, per_channel(node, in, number, reversed));
    return true;
  }
  if (node.op != "Add") return false;
  auto tokens = embedded(in, &other);
  if (!tokens) return false;
  give(node, std::move(*tokens));
  return true;
}

/// Values of two layers.
void Lowering::binary_views(const Node& node, View a, View b) {
  if (node.op == "Mul" && (swiglu(node, a, b) || swiglu(node, b, a))) return;
  a = resolved(node, a);
  b = resolved(node, b);
  if (node.op == "Mul" && (gated(node, a, b) || gated(node, b, a))) return;
  if (node.op != "Add" && node.op != "Sub")
    node.fail(fmt::format(
        "joins {} and {} of two layers: only sums are possible, and the product of an image with a "
        "factor per channel",
        to_string(a.shape), to_string(b.shape)));
  if (a.shape != b.shape) node.fail(fmt::format("adds {} and {}", to_string(a.shape), to_string(b.shape)));
  if (!same_order(a, b) || net_.shape(a.layer) != net_.shape(b.layer))
    for (View* one : {&a, &b})  // pixels as tokens, beside tokens
      if (net_.is_image(one->layer))
        if (auto tokens = embedded(*one, nullptr)) *one = std::move(*tokens);
  if (!same_order(a, b) || net_.shape(a.layer) != net_.shape(b.layer))
    node.fail(fmt::format("adds values {} and {} whose elements are in different orders",
                          to_string(net_.shape(a.layer)), to_string(net_.shape(b.layer))));
  if (node.op == "Sub") {
    const std::vector<double> minus(static_cast<std::size_t>(net_.channels(b.layer)), -1),
        none(minus.size(), 0);
    b = affine(node, b, minus, none);
  }
  Layer layer;
  layer.op = Op::Add;
  View out = a;
  out.layer = net_.add(layer, {a.layer, b.layer}, {}, node.path());
  give(node, std::move(out));
}

/// An image times a factor per channel.
bool Lowering::gated(const Node& node, const View& a, const View& b) {
  if (!net_.is_image(a.layer) || !net_.is_image(b.layer) || net_.places(b.layer) != 1 || a.fixed || b.fixed ||
      net_.channels(a.layer) != net_.channels(b.layer))
    return false;
  const Shape shape = broadcast(a.shape, b.shape);
  if (shape != a.shape) return false;
  const bool as_they_lie =
      !a.places && !b.places && a.shape.size() == 4 && b.shape == Shape{1, a.shape[1], 1, 1};
  if (!as_they_lie) {
    need_few(node, a.size());
    const std::vector<std::int32_t> places = broadcast_places(b.shape, shape);
    const auto area = static_cast<std::int32_t>(net_.places(a.layer));
    for (std::size_t i = 0; i < places.size(); ++i)
      if (a.place(i) / area != b.place(static_cast<std::size_t>(places[i]))) return false;
  }
  Layer layer;
  layer.op = Op::Mul;
  View out = a;
  out.layer = net_.add(layer, {a.layer, b.layer}, {}, node.path());
  give(node, std::move(out));
  return true;
}

/// silu of the first half of each token times the second half.
bool Lowering::swiglu(const Node& node, const View& a, const View& b) {
  if (a.layer != b.layer || a.shape != b.shape || net_.is_image(a.layer) || !a.samples || b.samples ||
      a.fixed || b.fixed)
    return false;
  const auto known = known_function(*a.samples);
  const auto first = rows_of(a), second = rows_of(b);
  if (!known || known->op != Op::Silu || !first || !second || first->place != second->place) return false;
  const auto width = static_cast<std::int32_t>(first->channel.size());
  if (2 * width != net_.channels(a.layer)) return false;
  for (std::int32_t c = 0; c < width; ++c)
    if (first->channel[static_cast<std::size_t>(c)] != c ||
        second->channel[static_cast<std::size_t>(c)] != width + c)
      return false;
  Layer layer;
  layer.op = Op::SwiGlu;
  layer.out = width;
  View out = a;
  out.samples = nullptr;
  out.layer = net_.add(layer, {a.layer}, {}, node.path());
  std::vector<std::int32_t> places;
  for (const std::int32_t place : first->place)
    for (std::int32_t c = 0; c < width; ++c) places.push_back(place * width + c);
  give(node, out.with(a.shape, std::move(places), count_of(net_.shape(out.layer))));
  return true;
}

}  // namespace graft::nn::onnx
