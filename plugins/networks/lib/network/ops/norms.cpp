#include <cmath>

#include <fmt/format.h>

#include "ops.h"

namespace graft::nn::ops {
namespace {

std::vector<Parameter> batch_parameters(const Layer& layer) {
  return {{"weight", {layer.out}},
          {"bias", {layer.out}},
          {"running_mean", {layer.out}, false},
          {"running_var", {layer.out}, false}};
}

void batch_plain(const PlainOperands& with, PlainValue& out) {
  const float *mean = with.tensor("running_mean"), *variance = with.tensor("running_var"),
              *weight = with.tensor("weight"), *bias = with.tensor("bias");
  const std::size_t area = at(channel_stride(out.shape));
  for (std::size_t i = 0; i < out.data.size(); ++i) {
    const std::size_t c = i / area;
    out.data[i] =
        (with.in[0]->data[i] - mean[c]) / std::sqrt(variance[c] + with.layer.eps) * weight[c] + bias[c];
  }
}

std::string batch_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>&) {
  return fmt::format(
      "torch.batch_norm({0}, {1}.weight, {1}.bias, {1}.running_mean, {1}.running_var, "
      "{1}.training, {2}, {3}, False)",
      names.in[0], names.self, layer.momentum, layer.eps);
}

std::vector<Parameter> layer_parameters(const Layer& layer) {
  return {{"weight", {layer.out}}, {"bias", {layer.out}}};
}

void layer_plain(const PlainOperands& with, PlainValue& out) {
  const float *weight = with.tensor("weight"), *bias = with.tensor("bias");
  const std::size_t channels = at(with.layer.out), step = at(channel_stride(out.shape));
  const std::vector<double>& in = with.in[0]->data;
  const std::size_t places = in.size() / channels;
  for (std::size_t p = 0; p < places; ++p) {
    // An image has its channels `step` apart, tokens and vectors side by side.
    const std::size_t first = out.shape.size() == 3 ? p : p * channels;
    double mean = 0, variance = 0;
    for (std::size_t c = 0; c < channels; ++c) mean += in[first + c * step];
    mean /= static_cast<double>(channels);
    for (std::size_t c = 0; c < channels; ++c) variance += std::pow(in[first + c * step] - mean, 2);
    const double scale = 1 / std::sqrt(variance / static_cast<double>(channels) + with.layer.eps);
    for (std::size_t c = 0; c < channels; ++c)
      out.data[first + c * step] = (in[first + c * step] - mean) * scale * weight[c] + bias[c];
  }
}

std::string layer_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>& lines) {
  const std::string last = fmt::format("[{0}], {1}.weight, {1}.bias, {2}", layer.out, names.self, layer.eps);
  lines.push_back(fmt::format("if {}.dim() == 4:", names.in[0]));
  lines.push_back(fmt::format(
      "    {0} = torch.permute(torch.layer_norm(torch.permute({1}, [0, 2, 3, 1]), {2}), [0, 3, 1, 2])",
      names.out, names.in[0], last));
  lines.emplace_back("else:");
  lines.push_back(fmt::format("    {} = torch.layer_norm({}, {})", names.out, names.in[0], last));
  return names.out;
}

std::vector<Parameter> response_parameters(const Layer& layer) {
  return {{"weight", {layer.out}, true, 0.0}, {"bias", {layer.out}}};
}

void response_plain(const PlainOperands& with, PlainValue& out) {
  const float *weight = with.tensor("weight"), *bias = with.tensor("bias");
  const std::vector<double>& in = with.in[0]->data;
  const std::size_t channels = at(with.layer.out), area = at(channel_stride(out.shape));
  std::vector<double> length(channels);
  double mean = 0;
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t i = 0; i < area; ++i) length[c] += in[c * area + i] * in[c * area + i];
    length[c] = std::sqrt(length[c]);
    mean += length[c] / static_cast<double>(channels);
  }
  for (std::size_t i = 0; i < in.size(); ++i) {
    const std::size_t c = i / area;
    out.data[i] = in[i] + weight[c] * in[i] * length[c] / (mean + with.layer.eps) + bias[c];
  }
}

std::string response_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>& lines) {
  const std::string &x = names.in[0], &out = names.out;
  lines.push_back(fmt::format("{}_g = torch.sqrt(torch.sum(torch.mul({}, {}), [2, 3], True))", out, x, x));
  lines.push_back(
      fmt::format("{0}_n = torch.div({0}_g, torch.add(torch.mean({0}_g, [1], True), {1}))", out, layer.eps));
  return fmt::format(
      "torch.add({0}, torch.add(torch.mul(torch.mul({0}, {1}_n), torch.reshape({2}.weight, [-1, 1, 1])), "
      "torch.reshape({2}.bias, [-1, 1, 1])))",
      x, out, names.self);
}

}  // namespace

const std::vector<Operation>& norms() {
  static const std::vector<Operation> kRows = {
      {Op::BatchNorm, "BatchNorm", 1, same_image, batch_plain, batch_torch, batch_parameters},
      {Op::LayerNorm, "LayerNorm", 1, same_channels, layer_plain, layer_torch, layer_parameters},
      {Op::ResponseNorm, "ResponseNorm", 1, same_image, response_plain, response_torch, response_parameters},
  };
  return kRows;
}

}  // namespace graft::nn::ops
