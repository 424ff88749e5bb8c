#include <fmt/format.h>

#include "ops.h"

// Weighted sums: convolutions, linear layers, and the shortcut that is a convolution with ones.

namespace graft::nn::ops {
namespace {

std::vector<Parameter> weight_and_bias(const Layer& layer, Shape weight) {
  std::vector<Parameter> out{{"weight", std::move(weight)}};
  if (layer.bias) out.push_back({"bias", {layer.out}});
  return out;
}

std::vector<Parameter> conv_parameters(const Layer& layer) {
  return weight_and_bias(layer,
                         {layer.out, layer.in / layer.groups, layer.kernel.height, layer.kernel.width});
}

std::vector<Parameter> linear_parameters(const Layer& layer) {
  return weight_and_bias(layer, {layer.out, layer.in});
}

// elements() looks after products that no number holds: networks come from files, too.
std::int64_t conv_multiply_adds(const Layer& layer, const std::vector<Shape>&, const Shape& out) {
  return elements({elements(out), layer.in / layer.groups, layer.kernel.height, layer.kernel.width});
}

std::int64_t linear_multiply_adds(const Layer& layer, const std::vector<Shape>&, const Shape& out) {
  return elements({elements(out), layer.in});
}

void conv_plain(const PlainOperands& with, PlainValue& out) {
  const Layer& layer = with.layer;
  const float* weight = with.tensor("weight");
  const float* bias = with.tensor("bias");
  const std::int64_t inputs = layer.in / layer.groups, rows = layer.kernel.height,
                     columns = layer.kernel.width;
  const Padding padding = padding_of(layer, with.in[0]->shape);
  fill(out, [&](std::int64_t c, std::int64_t y, std::int64_t x) {
    const std::int64_t first = c / (layer.out / layer.groups) * inputs;
    double sum = bias != nullptr ? bias[c] : 0;
    for (std::int64_t n = 0; n < inputs; ++n)
      for (std::int64_t v = 0; v < rows; ++v)
        for (std::int64_t u = 0; u < columns; ++u)
          sum += static_cast<double>(weight[((c * inputs + n) * rows + v) * columns + u]) *
                 with.in[0]->at(first + n, y * layer.stride - padding.top + v * layer.dilation,
                                x * layer.stride - padding.left + u * layer.dilation);
    return sum;
  });
}

/// The image with zeros around it, whose number depends on its size.
std::string torch_padded(const Layer& layer, const TorchNames& names, std::vector<std::string>& lines) {
  const auto along = [&](const char* name, int axis, int kernel) {
    const std::string side = fmt::format("{}.size({})", names.in[0], axis);
    lines.push_back(layer.padding_rule == PaddingRule::Multiple
                        ? fmt::format("{0}_{1} = ({2} - {3} % {2}) % {2}", names.out, name, layer.size, side)
                        : fmt::format("{0}_{1} = max((({2} - 1) // {3}) * {3} + {4} - {2}, 0)", names.out,
                                      name, side, layer.stride, span_of(kernel, layer.dilation)));
  };
  along("h", 2, layer.kernel.height);
  along("w", 3, layer.kernel.width);
  return layer.padding_rule == PaddingRule::Multiple
             ? fmt::format("torch.constant_pad_nd({0}, [0, {1}_w, 0, {1}_h], 0.0)", names.in[0], names.out)
             : fmt::format(
                   "torch.constant_pad_nd({0}, [{1}_w // 2, {1}_w - {1}_w // 2, {1}_h // 2, {1}_h - {1}_h // "
                   "2], 0.0)",
                   names.in[0], names.out);
}

std::string conv_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>& lines) {
  const bool fixed = layer.padding_rule == PaddingRule::Fixed;
  const Padding p = fixed ? layer.padding : Padding{};
  const bool equal = p.top == p.bottom && p.left == p.right;
  std::string in = names.in[0];
  if (!fixed)
    in = torch_padded(layer, names, lines);
  else if (!equal)
    in =
        fmt::format("torch.constant_pad_nd({}, [{}, {}, {}, {}], 0.0)", in, p.left, p.right, p.top, p.bottom);
  return fmt::format("torch.conv2d({0}, {1}.weight, {2}, [{3}, {3}], [{4}, {5}], [{6}, {6}], {7})", in,
                     names.self, layer.bias ? names.self + ".bias" : "None", layer.stride, equal ? p.top : 0,
                     equal ? p.left : 0, layer.dilation, layer.groups);
}

Shape conv_output(const Layer& layer, const std::vector<Shape>& in) {
  if (layer.padding_rule == PaddingRule::Ceil) throw WrongInput{"padding that is not `ceil`", in[0]};
  return window_output(layer, in);
}

Shape linear_output(const Layer& layer, const std::vector<Shape>& in) {
  if (in[0].size() == 2) {
    need_channels(layer, in[0]);
    return {in[0][0], layer.out};
  }
  if (in[0] != Shape{layer.in}) throw WrongInput{fmt::format("{} values", layer.in), in[0]};
  return {layer.out};
}

void linear_plain(const PlainOperands& with, PlainValue& out) {
  const float* weight = with.tensor("weight");
  const float* bias = with.tensor("bias");
  const std::size_t in = at(with.layer.in), width = at(with.layer.out);
  for (std::size_t i = 0; i < out.data.size(); ++i) {
    const std::size_t row = i / width, o = i % width;
    double sum = bias != nullptr ? bias[o] : 0;
    for (std::size_t n = 0; n < in; ++n)
      sum += static_cast<double>(weight[o * in + n]) * with.in[0]->data[row * in + n];
    out.data[i] = sum;
  }
}

std::string linear_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>&) {
  return fmt::format("torch.linear({}, {}.weight, {})", names.in[0], names.self,
                     layer.bias ? names.self + ".bias" : "None");
}

Shape shortcut_output(const Layer& layer, const std::vector<Shape>& in) {
  need_image(layer, in[0]);
  return {layer.out, (in[0][1] - 1) / layer.stride + 1, (in[0][2] - 1) / layer.stride + 1};
}

void shortcut_plain(const PlainOperands& with, PlainValue& out) {
  const Layer& layer = with.layer;
  fill(out, [&](std::int64_t c, std::int64_t y, std::int64_t x) {
    const std::int64_t from = c - (layer.out - layer.in) / 2;
    return from >= 0 && from < layer.in ? with.in[0]->at(from, y * layer.stride, x * layer.stride) : 0.0;
  });
}

std::string shortcut_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>&) {
  const int missing = layer.out - layer.in;
  return fmt::format("torch.constant_pad_nd({0}[:, :, ::{1}, ::{1}], [0, 0, 0, 0, {2}, {3}], 0.0)",
                     names.in[0], layer.stride, missing / 2, missing - missing / 2);
}

}  // namespace

const std::vector<Operation>& convolutions() {
  static const std::vector<Operation> kRows = {
      {Op::Conv, "Conv", 1, conv_output, conv_plain, conv_torch, conv_parameters, conv_multiply_adds,
       window_detail},
      {Op::Linear, "Linear", 1, linear_output, linear_plain, linear_torch, linear_parameters,
       linear_multiply_adds},
      {Op::Shortcut, "Shortcut", 1, shortcut_output, shortcut_plain, shortcut_torch},
  };
  return kRows;
}

}  // namespace graft::nn::ops
