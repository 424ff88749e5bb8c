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
    for (const auto kind : {ops::convolutions, ops::elementwise, ops::poolings, ops::norms, ops::tokens})
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

Shape window_output(const Layer& layer, const std::vector<Shape>& in) {
  need_image(layer, in[0]);
  const std::int64_t height = in[0][1] + layer.padding.top + layer.padding.bottom - layer.kernel;
  const std::int64_t width = in[0][2] + layer.padding.left + layer.padding.right - layer.kernel;
  if (height < 0 || width < 0)
    throw WrongInput{fmt::format("at least {} x {} px with its padding", layer.kernel, layer.kernel), in[0]};
  return {layer.out, height / layer.stride + 1, width / layer.stride + 1};
}

std::string window_detail(const Layer& layer) {
  return fmt::format("{0}x{0}{1}", layer.kernel, layer.stride > 1 ? fmt::format("/{}", layer.stride) : "");
}

}  // namespace ops

}  // namespace graft::nn
