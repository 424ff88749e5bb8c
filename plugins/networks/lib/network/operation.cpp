#include <network/operation.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "ops/ops.h"

namespace graft::nn {

const std::vector<Operation>& operations() {
  static const std::vector<Operation> kAll = [] {
    std::vector<Operation> all;
    for (const auto kind :
         {ops::convolutions, ops::elementwise, ops::poolings, ops::norms, ops::tokens, ops::windows})
      all.insert(all.end(), kind().begin(), kind().end());
    std::sort(all.begin(), all.end(), [](const Operation& a, const Operation& b) { return a.op < b.op; });
    return all;
  }();
  return kAll;
}

const Operation& operation(Op op) {
  const auto index = static_cast<std::size_t>(op);
  if (index >= operations().size() || operations()[index].op != op)
    throw Error(fmt::format("operation {} is not in the table: this is a bug in graft", index));
  return operations()[index];
}

const char* to_string(Op op) {
  return operation(op).name;
}

namespace {

/// Before and after, along one side.
std::pair<std::int64_t, std::int64_t> padding_along(const Layer& layer, std::int64_t side, int kernel,
                                                    int before, int after) {
  const std::int64_t span = span_of(kernel, layer.dilation), stride = layer.stride;
  switch (layer.padding_rule) {
    case PaddingRule::Fixed:
      break;
    case PaddingRule::Ceil: {
      const std::int64_t rest = side + before + after - span;
      if (rest < 0) break;  // too small an image, which others name
      std::int64_t windows = (rest + stride - 1) / stride;
      if (windows * stride >= side + before) --windows;  // none begins beyond the image
      return {before, std::max<std::int64_t>(windows * stride + span - side - before, 0)};
    }
    case PaddingRule::Same: {
      const std::int64_t all = std::max<std::int64_t>(((side - 1) / stride) * stride + span - side, 0);
      return {all / 2, all - all / 2};
    }
    case PaddingRule::Multiple:
      return {0, (layer.size - side % layer.size) % layer.size};
  }
  return {before, after};
}

}  // namespace

Padding padding_of(const Layer& layer, const Shape& image) {
  const auto [top, bottom] =
      padding_along(layer, image[1], layer.kernel.height, layer.padding.top, layer.padding.bottom);
  const auto [left, right] =
      padding_along(layer, image[2], layer.kernel.width, layer.padding.left, layer.padding.right);
  return {static_cast<int>(top), static_cast<int>(left), static_cast<int>(bottom), static_cast<int>(right)};
}

std::vector<Parameter> parameters_of(const Layer& layer) {
  const auto parameters = operation(layer.op).parameters;
  if (parameters == nullptr) return {};
  std::vector<Parameter> out = parameters(layer);
  for (Parameter& parameter : out) parameter.path = layer.name + "." + parameter.path;
  return out;
}

namespace ops {

void need_image(const Layer& layer, const Shape& in) {
  if (in.size() != 3) throw WrongInput{"an image", in};
  if (in[0] != layer.in) throw WrongInput{fmt::format("{} channels", layer.in), in};
}

void need_channels(const Layer& layer, const Shape& in) {
  if (in.empty() || in[channel_axis(in)] != layer.in)
    throw WrongInput{fmt::format("{} channels", layer.in), in};
}

Shape same_image(const Layer& layer, const std::vector<Shape>& in) {
  need_image(layer, in[0]);
  return in[0];
}

Shape same_channels(const Layer& layer, const std::vector<Shape>& in) {
  need_channels(layer, in[0]);
  return in[0];
}

Shape window_output(const Layer& layer, const std::vector<Shape>& in) {
  need_image(layer, in[0]);
  const Padding padding = padding_of(layer, in[0]);
  const std::int64_t rows = span_of(layer.kernel.height, layer.dilation),
                     columns = span_of(layer.kernel.width, layer.dilation),
                     height = in[0][1] + padding.top + padding.bottom - rows,
                     width = in[0][2] + padding.left + padding.right - columns;
  if (height < 0 || width < 0)
    throw WrongInput{fmt::format("at least {} x {} px with its padding", columns, rows), in[0]};
  return {layer.out, height / layer.stride + 1, width / layer.stride + 1};
}

std::string window_detail(const Layer& layer) {
  return fmt::format("{}x{}{}{}", layer.kernel.height, layer.kernel.width,
                     layer.stride > 1 ? fmt::format("/{}", layer.stride) : "",
                     layer.dilation > 1 ? fmt::format(", dilation {}", layer.dilation) : "");
}

}  // namespace ops

}  // namespace graft::nn
