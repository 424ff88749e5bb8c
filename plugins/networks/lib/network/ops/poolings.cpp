#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "ops.h"

namespace graft::nn::ops {
namespace {

void max_plain(const PlainOperands& with, PlainValue& out) {
  const Layer& layer = with.layer;
  const PlainValue& in = *with.in[0];
  std::size_t i = 0;
  for (std::int64_t c = 0; c < out.shape[0]; ++c)
    for (std::int64_t y = 0; y < out.shape[1]; ++y)
      for (std::int64_t x = 0; x < out.shape[2]; ++x) {
        double most = -std::numeric_limits<double>::infinity();
        for (std::int64_t v = y * layer.stride - layer.padding.top, m = 0; m < layer.kernel; ++m, ++v)
          for (std::int64_t u = x * layer.stride - layer.padding.left, n = 0; n < layer.kernel; ++n, ++u)
            if (v >= 0 && u >= 0 && v < in.shape[1] && u < in.shape[2]) most = std::max(most, in.at(c, v, u));
        out.data[i++] = most;
      }
}

std::string max_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>&) {
  return fmt::format("torch.max_pool2d({0}, [{1}, {1}], [{2}, {2}], [{3}, {3}])", names.in[0], layer.kernel,
                     layer.stride, layer.padding.top);
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
  const std::int64_t h = in.shape[1], w = in.shape[2], rows = out.shape[1], columns = out.shape[2];
  std::size_t i = 0;
  for (std::int64_t c = 0; c < out.shape[0]; ++c)
    for (std::int64_t y = 0; y < rows; ++y)
      for (std::int64_t x = 0; x < columns; ++x) {
        double sum = 0, n = 0;
        for (std::int64_t v = y * h / rows; v < ((y + 1) * h + rows - 1) / rows; ++v)
          for (std::int64_t u = x * w / columns; u < ((x + 1) * w + columns - 1) / columns; ++u, ++n)
            sum += in.at(c, v, u);
        out.data[i++] = sum / n;
      }
}

std::string average_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>&) {
  return fmt::format("torch.adaptive_avg_pool2d({0}, [{1}, {1}])", names.in[0], layer.size);
}

std::string average_detail(const Layer& layer) {
  return fmt::format("to {0}x{0}", layer.size);
}

std::string global_torch(const Layer&, const TorchNames& names, std::vector<std::string>&) {
  return fmt::format("torch.mean({}, [2, 3], True)", names.in[0]);
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
      {Op::MaxPool, "MaxPool", 1, window_output, max_plain, max_torch, nullptr, nullptr, window_detail},
      {Op::AvgPool, "AvgPool", 1, average_output, average_plain, average_torch, nullptr, nullptr,
       average_detail},
      {Op::GlobalPool, "GlobalPool", 1, global_output, average_plain, global_torch},
      {Op::TokenMean, "TokenMean", 1, token_mean_output, token_mean_plain, token_mean_torch, nullptr, nullptr,
       token_mean_detail},
  };
  return kRows;
}

}  // namespace graft::nn::ops
