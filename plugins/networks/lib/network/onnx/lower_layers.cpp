#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "lowering.h"

namespace graft::nn::onnx {
namespace {

/// One number for both sides of a window.
int equal_sides(const Node& node, const char* what, const std::int64_t (&sides)[2]) {
  if (sides[0] != sides[1])
    node.fail(fmt::format("has {} of {} and {}: only equal ones are possible", what, sides[0], sides[1]));
  return static_cast<int>(sides[0]);
}

Padding padding_from(const Windows& windows) {
  return {static_cast<int>(windows.before[0]), static_cast<int>(windows.before[1]),
          static_cast<int>(windows.behind[0]), static_cast<int>(windows.behind[1])};
}

std::vector<float> floats_of(const Node& node, const Array* array, std::size_t count, const char* what) {
  if (array == nullptr || !array->is_float || array->reals.size() != count)
    node.fail(
        fmt::format("has {} that {} {} constants", what, array == nullptr ? "are not" : "should be", count));
  return array->reals;
}

}  // namespace

void Lowering::conv(const Node& node) {
  const Array* weight = constant(node, 1);
  if (weight == nullptr || !weight->is_float || weight->shape.size() != 4)
    node.fail(
        "has weights that are not a constant [out,in,height,width]: only convolutions of images are "
        "possible");
  Padding around;
  View in = materialised_image(node, resolved(node, view(node, 0)), &around);
  const Windows windows = windows_of(node, view(node, 0).shape, weight->shape);
  Layer layer;
  layer.op = Op::Conv;
  layer.in = net_.channels(in.layer);
  layer.out = static_cast<int>(std::min<std::int64_t>(weight->shape[0], kMaxClasses));
  const std::int64_t groups = node.integer("group", 1);
  if (groups < 1 || groups > kMostElements || weight->shape[0] < 1 || weight->shape[0] > kMaxClasses ||
      weight->shape[1] * groups != layer.in || weight->shape[0] % groups != 0)
    node.fail(fmt::format("has weights {} in {} groups for {} channels", to_string(weight->shape), groups,
                          layer.in));
  layer.groups = static_cast<int>(groups);
  layer.kernel = {static_cast<int>(weight->shape[2]), static_cast<int>(weight->shape[3])};
  layer.stride = equal_sides(node, "strides", windows.stride);
  layer.dilation = equal_sides(node, "dilations", windows.dilation);
  layer.padding = padding_from(windows);
  if (around == Padding{} && node.text("auto_pad", "NOTSET") == "SAME_UPPER") {
    layer.padding = {};
    layer.padding_rule = PaddingRule::Same;
  }
  layer.padding.top += around.top;
  layer.padding.left += around.left;
  layer.padding.bottom += around.bottom;
  layer.padding.right += around.right;
  Weights weights{{"weight", weight->reals}};
  if (node.has_input(2)) {
    layer.bias = true;
    weights["bias"] = floats_of(node, constant(node, 2), static_cast<std::size_t>(layer.out), "a bias");
  }
  View out;
  out.layer = net_.add(layer, {in.layer}, std::move(weights), node.path());
  const Shape& shape = net_.shape(out.layer);
  out.shape = {1, shape[0], shape[1], shape[2]};
  give(node, std::move(out));
}

void Lowering::pool(const Node& node) {
  Padding around;
  const View in = materialised_image(node, resolved(node, view(node, 0)), &around);
  const Windows windows = windows_of(node, view(node, 0).shape, {});
  const bool is_max = node.op == "MaxPool";
  const Shape own = net_.shape(in.layer);
  if (!is_max && around == Padding{} && windows.kernel[0] == own[1] && windows.kernel[1] == own[2] &&
      padding_from(windows) == Padding{})
    return reduce_mean(node, {2, 3}, true);
  if (equal_sides(node, "dilations", windows.dilation) != 1)
    node.fail("has windows with gaps: no operation of graft does that");
  if (is_max && around != Padding{})
    node.fail("takes the largest of zeros around the image, too: no operation of graft does that");
  Layer layer;
  layer.op = is_max ? Op::MaxPool : Op::WindowAvgPool;
  layer.kernel = {static_cast<int>(windows.kernel[0]), static_cast<int>(windows.kernel[1])};
  layer.stride = equal_sides(node, "strides", windows.stride);
  layer.padding = padding_from(windows);
  layer.count_padding = !is_max && node.integer("count_include_pad", 0) != 0;
  if (windows.ceil) layer.padding_rule = PaddingRule::Ceil;
  if (around != Padding{}) {
    if (layer.padding != Padding{})
      node.fail("pads an image that is padded already: no operation of graft does that");
    layer.padding = around;
    layer.count_padding = true;
  }
  View out;
  out.layer = net_.add(layer, {in.layer}, {}, node.path());
  const Shape& shape = net_.shape(out.layer);
  out.shape = {1, shape[0], shape[1], shape[2]};
  // What ONNX makes of the last windows must be what the layer makes of them.
  if (shape[1] != windows.count(node, 0, view(node, 0).shape[2]) ||
      shape[2] != windows.count(node, 1, view(node, 0).shape[3]))
    node.fail("has windows at the border that no operation of graft has");
  give(node, std::move(out));
}

/// The mean over all pixels, or over tokens one after the other.
void Lowering::reduce_mean(const Node& node, const std::vector<std::int64_t>& axes, bool keeps) {
  const View in = resolved(node, view(node, 0));
  if (in.fixed) node.fail("takes the mean of constants, too: no operation of graft does that");
  std::vector<bool> gone(in.shape.size());
  for (const std::int64_t a : axes) gone[axis_of(node, a, in.shape.size())] = true;
  Shape kept, left;
  for (std::size_t i = 0; i < gone.size(); ++i) {
    kept.push_back(gone[i] ? 1 : in.shape[i]);
    if (!gone[i]) left.push_back(in.shape[i]);
  }
  const bool whole_image = !in.places && net_.is_image(in.layer) && in.shape.size() == 4 &&
                           in.shape[0] == 1 && !gone[1] && gone[2] && gone[3];
  if (whole_image) {  // without looking at each element, of which there may be many
    Layer mean;
    mean.op = Op::GlobalPool;
    View out;
    out.layer = net_.add(mean, {in.layer}, {}, node.path());
    out.shape = keeps ? kept : left;
    return give(node, std::move(out));
  }
  need_few(node, in.size());
  const std::vector<std::int32_t> to = broadcast_places(kept, in.shape);
  const std::size_t sums = count_of(kept), each = sums == 0 ? 0 : in.size() / sums;
  const bool is_image = net_.is_image(in.layer);
  const auto places = static_cast<std::int32_t>(net_.places(in.layer)), channels = net_.channels(in.layer);
  std::vector<std::int32_t> channel(sums, -1), first(sums, places), last(sums, -1);
  std::vector<bool> seen(count_of(net_.shape(in.layer)));
  for (std::size_t i = 0; i < to.size(); ++i) {
    const std::int32_t at = in.place(i), c = is_image ? at / places : at % channels,
                       p = is_image ? at % places : at / channels;
    const auto o = static_cast<std::size_t>(to[i]);
    if ((channel[o] >= 0 && channel[o] != c) || seen[static_cast<std::size_t>(at)])
      node.fail("takes the mean over channels: no operation of graft does that");
    seen[static_cast<std::size_t>(at)] = true;
    channel[o] = c;
    first[o] = std::min(first[o], p);
    last[o] = std::max(last[o], p);
  }
  for (std::size_t o = 0; o < sums; ++o)
    if (first[o] != first[0] || last[o] != last[0] ||
        static_cast<std::size_t>(last[o] - first[o]) + 1 != each ||
        (is_image && each != static_cast<std::size_t>(places)))
      node.fail("takes the mean over a part of the image: no operation of graft does that");
  View out;
  Layer layer;
  if (is_image) {
    layer.op = Op::GlobalPool;
  } else if (net_.is_tokens(in.layer)) {
    layer.op = Op::TokenMean;
    layer.first = first[0];
    layer.count = last[0] + 1 == places ? 0 : static_cast<int>(each);
  } else {
    node.fail("takes the mean of a vector: no operation of graft does that");
  }
  out.layer = net_.add(layer, {in.layer}, {}, node.path());
  give(node, out.with(keeps ? kept : left, std::move(channel), static_cast<std::size_t>(channels)));
}

void Lowering::batch_norm(const Node& node) {
  if (node.integer("training_mode", 0) != 0)
    node.fail("is in training mode: export the model after model.eval()");
  View in = resolved(node, view(node, 0));
  const double eps = node.real("epsilon", 1e-5);
  const auto given = [&](std::size_t i) {
    return floats_of(node, constant(node, i), in.shape.size() < 2 ? 0 : static_cast<std::size_t>(in.shape[1]),
                     "statistics");
  };
  const std::vector<float> weight = given(1), bias = given(2), mean = given(3), variance = given(4);
  if (in.shape.size() == 4) {
    in = materialised_image(node, in, nullptr);
    Layer layer;
    layer.op = Op::BatchNorm;
    layer.eps = eps;
    View out = in;
    out.layer = net_.add(
        layer, {in.layer},
        {{"weight", weight}, {"bias", bias}, {"running_mean", mean}, {"running_var", variance}}, node.path());
    return give(node, std::move(out));
  }
  // Of vectors: a factor and an offset per channel.
  const Rows rows = need_rows(node, in);
  const auto channels = static_cast<std::size_t>(net_.channels(in.layer));
  if (in.shape.size() != 2)
    node.fail(fmt::format("takes {}: only images and vectors are possible", to_string(in.shape)));
  std::vector<double> factor(channels, 1), offset(channels, 0);
  for (std::size_t j = 0; j < rows.channel.size(); ++j) {
    const auto c = static_cast<std::size_t>(rows.channel[j]);
    factor[c] = static_cast<double>(weight[j]) / std::sqrt(static_cast<double>(variance[j]) + eps);
    offset[c] = static_cast<double>(bias[j]) - static_cast<double>(mean[j]) * factor[c];
  }
  give(node, affine(node, in, factor, offset));
}

void Lowering::layer_norm(const Node& node) {
  const View in = resolved(node, view(node, 0));
  const std::size_t axis = axis_of(node, node.integer("axis", -1), in.shape.size());
  if (axis + 1 != in.shape.size()) node.fail("is over several axes: only over channels is possible");
  give(node, normalised(node, in, axis, node.real("epsilon", 1e-5), constant(node, 1), constant(node, 2)));
}

/// LayerNorm over one axis, which must hold all channels of a place; without `scale`: 1 and 0.
View Lowering::normalised(const Node& node, const View& in, std::size_t axis, double eps, const Array* scale,
                          const Array* bias) {
  // The axis of the channels to the end: the layer's own order stays, so the value is the same view of it.
  need_few(node, in.size());
  std::vector<std::int32_t> order;
  const auto strides = strides_of(in.shape);
  const auto length = static_cast<std::size_t>(in.shape[axis]);
  order.reserve(in.size());
  for (std::size_t i = 0; i < in.size(); ++i)
    if (static_cast<std::int64_t>(i) / strides[axis] % in.shape[axis] == 0)
      for (std::size_t c = 0; c < length; ++c)
        order.push_back(in.place(i + c * static_cast<std::size_t>(strides[axis])));
  View turned = in.with({static_cast<std::int64_t>(in.size() / length), in.shape[axis]}, std::move(order),
                        count_of(net_.shape(in.layer)));
  const LayerId before = turned.layer;
  const Rows rows = need_rows(node, turned);
  const auto channels = static_cast<std::size_t>(net_.channels(turned.layer));
  std::vector<bool> seen(channels);
  for (const std::int32_t c : rows.channel) {
    if (seen[static_cast<std::size_t>(c)]) node.fail("takes a channel twice");
    seen[static_cast<std::size_t>(c)] = true;
  }
  if (rows.channel.size() != channels)
    node.fail("is over a part of the channels: no operation of graft does that");
  std::vector<float> weight(channels, 1.0F), offset(channels, 0.0F);
  const std::vector<float> own_scale =
                               scale != nullptr ? floats_of(node, scale, channels, "factors") : weight,
                           own_bias = bias != nullptr ? floats_of(node, bias, channels, "offsets") : offset;
  for (std::size_t j = 0; j < channels; ++j) {
    weight[static_cast<std::size_t>(rows.channel[j])] = own_scale[j];
    offset[static_cast<std::size_t>(rows.channel[j])] = own_bias[j];
  }
  Layer layer;
  layer.op = Op::LayerNorm;
  layer.eps = eps;
  const LayerId made = net_.add(layer, {turned.layer},
                                {{"weight", std::move(weight)}, {"bias", std::move(offset)}}, node.path());
  View out = turned.layer == before ? in : turned;
  if (turned.layer != before) {  // another layer was made on the way: only for rows as they are
    if (axis + 1 != in.shape.size())
      node.fail("is over channels in an order that no operation of graft makes");
    out.shape = in.shape;
  }
  out.layer = made;
  return out;
}

bool Lowering::long_layer_norm(const Node& node) {
  const auto found = norms_.find(node.outputs.at(0));
  if (found == norms_.end()) return false;
  const GraphEntry& value = entry(found->second.value);
  if (value.kind == GraphEntry::Kind::Error) throw Error(value.error);
  if (value.kind != GraphEntry::Kind::View) return false;
  const View in = resolved(node, value.view);
  give(node, normalised(node, in, axis_of(node, found->second.axis, in.shape.size()), found->second.eps,
                        nullptr, nullptr));
  return true;
}

/// A linear layer of each row: a convolution of each pixel where the rows are of an image.
View Lowering::product(const Node& node, View in, const std::vector<float>& weight, std::size_t out_width,
                       const std::vector<float>& bias) {
  Rows rows = need_rows(node, in);
  need_few(node, rows.place.size() * out_width);
  const std::size_t width = rows.channel.size();
  if (rows.place.size() == 1 && net_.is_tokens(in.layer) && net_.places(in.layer) > 1) {
    const LayerId token = token_vector(node, in, rows);
    in.layer = token;
    in.places = nullptr;
    rows = need_rows(node, in);
  }
  const auto channels = static_cast<std::size_t>(net_.channels(in.layer));
  Layer layer;
  layer.op = net_.is_image(in.layer) ? Op::Conv : Op::Linear;
  layer.out = static_cast<int>(out_width);
  layer.bias = !bias.empty();
  std::vector<float> placed(out_width * channels);
  for (std::size_t o = 0; o < out_width; ++o)
    for (std::size_t j = 0; j < width; ++j)
      placed[o * channels + static_cast<std::size_t>(rows.channel[j])] += weight[o * width + j];
  Weights weights{{"weight", std::move(placed)}};
  if (layer.bias) weights["bias"] = bias;
  View out;
  out.layer = net_.add(layer, {in.layer}, std::move(weights), node.path());
  Shape shape = in.shape;
  shape.back() = static_cast<std::int64_t>(out_width);
  const auto area = static_cast<std::int32_t>(net_.places(out.layer));
  std::vector<std::int32_t> places;
  places.reserve(rows.place.size() * out_width);
  for (const std::int32_t place : rows.place)
    for (std::int32_t o = 0; o < layer.out; ++o)
      places.push_back(layer.op == Op::Conv ? o * area + place : place * layer.out + o);
  return out.with(std::move(shape), std::move(places), count_of(net_.shape(out.layer)));
}

void Lowering::linear(const Node& node) {
  const Array* matrix = constant(node, 1);
  if (matrix == nullptr || !matrix->is_float || matrix->shape.size() < 2 || matrix->size() == 0)
    node.fail("has weights that are not a constant matrix");
  const View in = resolved(node, view(node, 0));
  const std::int64_t rows = matrix->shape[matrix->shape.size() - 2], columns = matrix->shape.back();
  if (rows * columns != matrix->size())
    node.fail("multiplies by several matrices: no operation of graft does that");
  const bool is_gemm = node.op == "Gemm", turned = is_gemm && node.integer("transB", 0) != 0;
  if (is_gemm && node.integer("transA", 0) != 0)
    node.fail("takes its values turned: no operation of graft does that");
  const std::int64_t width = turned ? columns : rows, out = turned ? rows : columns;
  if (in.shape.empty() || in.shape.back() != width || out > kMaxClasses)
    node.fail(fmt::format("multiplies {} by {}", to_string(in.shape), to_string(matrix->shape)));
  const double alpha = is_gemm ? node.real("alpha", 1) : 1;
  std::vector<float> weight(matrix->reals.size());
  for (std::int64_t o = 0; o < out; ++o)
    for (std::int64_t i = 0; i < width; ++i)
      weight[static_cast<std::size_t>(o * width + i)] = static_cast<float>(
          alpha *
          static_cast<double>(matrix->reals[static_cast<std::size_t>(turned ? o * width + i : i * out + o)]));
  std::vector<float> bias;
  if (is_gemm && node.has_input(2)) {
    const Array* given = constant(node, 2);
    if (given == nullptr || !given->is_float || (given->size() != 1 && given->size() != out) ||
        (given->size() == out && given->shape.back() != out))
      node.fail("adds what is not one constant per output");
    for (std::int64_t o = 0; o < out; ++o)
      bias.push_back(static_cast<float>(node.real("beta", 1) *
                                        given->at(given->size() == 1 ? 0 : static_cast<std::size_t>(o))));
  }
  give(node, product(node, in, weight, static_cast<std::size_t>(out), bias));
}

}  // namespace graft::nn::onnx
