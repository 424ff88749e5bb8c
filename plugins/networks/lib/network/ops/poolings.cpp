#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "ops.h"

namespace graft::nn::ops {
namespace {

void max_plain(const PlainOperands& with, PlainValue& out) {
  const Layer& layer = with.layer;
  const PlainValue& in = *with.in[0];
  const Padding padding = padding_of(layer, in.shape);
  fill(out, [&](std::int64_t c, std::int64_t y, std::int64_t x) {
    double most = -std::numeric_limits<double>::infinity();
    for (std::int64_t v = y * layer.stride - padding.top, m = 0; m < layer.kernel.height; ++m, ++v)
      for (std::int64_t u = x * layer.stride - padding.left, n = 0; n < layer.kernel.width; ++n, ++u)
        if (v >= 0 && u >= 0 && v < in.shape[1] && u < in.shape[2])
          if (const double value = in.at(c, v, u); !std::isnan(most) && !(value <= most)) most = value;
    return most;
  });
}

/// LibTorch pads equally, at most by half of a window.
Shape pooled_output(const Layer& layer, const std::vector<Shape>& in) {
  const Padding& p = layer.padding;
  if (layer.padding_rule != PaddingRule::Fixed && layer.padding_rule != PaddingRule::Ceil)
    throw WrongInput{fmt::format("padding that is not `{}`", to_string(layer.padding_rule)), in[0]};
  if (p.top != p.bottom || p.left != p.right || 2 * std::int64_t{p.top} > layer.kernel.height ||
      2 * std::int64_t{p.left} > layer.kernel.width)
    throw WrongInput{"equal padding of at most half a window", in[0]};
  if (layer.dilation != 1) throw WrongInput{"windows without gaps", in[0]};
  return window_output(layer, in);
}

Shape blur_output(const Layer& layer, const std::vector<Shape>& in) {
  need_image(layer, in[0]);
  if (in[0][1] < 2 || in[0][2] < 2) throw WrongInput{"at least 2 x 2 px", in[0]};
  return {layer.out, (in[0][1] - 1) / layer.stride + 1, (in[0][2] - 1) / layer.stride + 1};
}

void blur_plain(const PlainOperands& with, PlainValue& out) {
  const PlainValue& in = *with.in[0];
  fill(out, [&](std::int64_t c, std::int64_t y, std::int64_t x) {
    double sum = 0;
    for (std::int64_t v = -1; v <= 1; ++v)
      for (std::int64_t u = -1; u <= 1; ++u)
        sum += in.at(c, mirrored(y * with.layer.stride + v, in.shape[1]),
                     mirrored(x * with.layer.stride + u, in.shape[2])) *
               static_cast<double>((2 - v * v) * (2 - u * u)) / 16;
    return sum;
  });
}

std::string blur_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>& lines) {
  lines.push_back(fmt::format(
      "{0}_k = torch.reshape(torch.tensor([1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0]), [1, 1, 3, "
      "3]).to({1})",
      names.out, names.in[0]));
  return fmt::format(
      "torch.conv2d(torch.reflection_pad2d({0}, [1, 1, 1, 1]), torch.div({1}_k, 16.0).expand({2}, 1, 3, 3), "
      "None, [{3}, {3}], [0, 0], [1, 1], {2})",
      names.in[0], names.out, layer.out, layer.stride);
}

/// Its first arguments: kernel, stride and padding.
std::string torch_windows(const Layer& layer) {
  return fmt::format("[{0}, {1}], [{2}, {2}], [{3}, {4}]", layer.kernel.height, layer.kernel.width,
                     layer.stride, layer.padding.top, layer.padding.left);
}

std::string max_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>&) {
  return fmt::format("torch.max_pool2d({}, {}, [1, 1], {})", names.in[0], torch_windows(layer),
                     layer.padding_rule == PaddingRule::Ceil ? "True" : "False");
}

std::string window_average_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>&) {
  return fmt::format("torch.avg_pool2d({}, {}, {}, {})", names.in[0], torch_windows(layer),
                     layer.padding_rule == PaddingRule::Ceil ? "True" : "False",
                     layer.count_padding ? "True" : "False");
}

Shape average_output(const Layer& layer, const std::vector<Shape>& in) {
  need_image(layer, in[0]);
  return {in[0][0], layer.size, layer.size};
}

Shape global_output(const Layer& layer, const std::vector<Shape>& in) {
  need_image(layer, in[0]);
  return {in[0][0], 1, 1};
}

void average_plain(const PlainOperands& with, PlainValue& out) {
  const PlainValue& in = *with.in[0];
  const auto rows = averaged_along(with.layer, in.shape, out.shape, 1),
             columns = averaged_along(with.layer, in.shape, out.shape, 2);
  std::size_t i = 0;
  for (std::int64_t c = 0; c < out.shape[0]; ++c)
    for (const AveragedRun& row : rows)
      for (const AveragedRun& column : columns) {
        double sum = 0;
        for (std::int64_t v = row.first; v < row.last; ++v)
          for (std::int64_t u = column.first; u < column.last; ++u) sum += in.at(c, v, u);
        out.data[i++] = sum / static_cast<double>(row.divisor * column.divisor);
      }
}

Shape token_mean_output(const Layer& layer, const std::vector<Shape>& in) {
  const std::int64_t wanted = std::int64_t{layer.first} + std::max(layer.count, 1);
  if (in[0].size() != 2 || in[0][1] != layer.out || in[0][0] < wanted)
    throw WrongInput{fmt::format("at least {} tokens of {} values", wanted, layer.out), in[0]};
  return {layer.out};
}

void token_mean_plain(const PlainOperands& with, PlainValue& out) {
  const PlainValue& in = *with.in[0];
  const std::int64_t first = with.layer.first;
  const std::int64_t last = with.layer.count > 0 ? first + with.layer.count : in.shape[0];
  for (std::int64_t t = first; t < last; ++t)
    for (std::size_t c = 0; c < out.data.size(); ++c) out.data[c] += in.data[at(t) * out.data.size() + c];
  for (double& v : out.data) v /= static_cast<double>(last - first);
}

std::string token_mean_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>&) {
  const std::string last = layer.count > 0 ? std::to_string(layer.first + layer.count) : "";
  return fmt::format("torch.mean({}[:, {}:{}], [1])", names.in[0], layer.first, last);
}

std::string token_mean_detail(const Layer& layer) {
  if (layer.count == 0) return fmt::format("from {}", layer.first);
  return layer.count == 1 ? fmt::format("{}", layer.first)
                          : fmt::format("{} to {}", layer.first, layer.first + layer.count - 1);
}

}  // namespace

const std::vector<Operation>& poolings() {
  static const std::vector<Operation> kRows = {
      {Op::MaxPool, "MaxPool", 1, pooled_output, max_plain, max_torch, nullptr, nullptr, window_detail},
      {Op::WindowAvgPool, "WindowAvgPool", 1, pooled_output, average_plain, window_average_torch, nullptr,
       nullptr, window_detail},
      {Op::BlurPool, "BlurPool", 1, blur_output, blur_plain, blur_torch, nullptr, nullptr,
       [](const Layer& layer) { return layer.stride > 1 ? fmt::format("3x3/{}", layer.stride) : "3x3"; }},
      {Op::AvgPool, "AvgPool", 1, average_output, average_plain,
       call<"torch.adaptive_avg_pool2d({x}, [{size}, {size}])">, nullptr, nullptr,
       [](const Layer& layer) { return fmt::format("to {0}x{0}", layer.size); }},
      {Op::GlobalPool, "GlobalPool", 1, global_output, average_plain, call<"torch.mean({x}, [2, 3], True)">},
      {Op::TokenMean, "TokenMean", 1, token_mean_output, token_mean_plain, token_mean_torch, nullptr, nullptr,
       token_mean_detail},
  };
  return kRows;
}

}  // namespace graft::nn::ops

namespace graft::nn {

std::int64_t mirrored(std::int64_t place, std::int64_t side) {
  return place < 0 ? -place : place < side ? place : 2 * (side - 1) - place;
}

std::vector<AveragedRun> averaged_along(const Layer& layer, const Shape& in, const Shape& out,
                                        std::size_t axis) {
  std::vector<AveragedRun> runs;
  const std::int64_t side = in[axis], count = out[axis],
                     before = axis == 1 ? layer.padding.top : layer.padding.left,
                     kernel = axis == 1 ? layer.kernel.height : layer.kernel.width;
  for (std::int64_t i = 0; i < count; ++i) {
    AveragedRun run{i * side / count, ((i + 1) * side + count - 1) / count, 0};
    if (layer.op == Op::WindowAvgPool) {
      const std::int64_t first = i * layer.stride - before, last = first + kernel;
      run = {std::max<std::int64_t>(first, 0), std::min(last, side), 0};
      if (layer.count_padding) run.divisor = std::min(last, side + before) - first;
    }
    if (run.divisor == 0) run.divisor = run.last - run.first;
    runs.push_back(run);
  }
  return runs;
}

}  // namespace graft::nn
