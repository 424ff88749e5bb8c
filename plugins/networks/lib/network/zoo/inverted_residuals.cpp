// MobileNet v2 (Sandler et al. 2018, arXiv:1801.04381) and EfficientNet-B0 (Tan and Le 2019,
// arXiv:1905.11946), names and layout of torchvision. Stochastic depth, which torchvision uses in training,
// is left out: it is nothing at inference and has no weights.

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "builder.h"
#include "zoo.h"

namespace graft::nn::zoo {
namespace {

/// Blocks, of which the first has the stride.
struct Stage {
  int expansion, kernel, stride, out, blocks;
};
constexpr std::array<Stage, 7> kMobileNetV2{{{1, 3, 1, 16, 1},
                                             {6, 3, 2, 24, 2},
                                             {6, 3, 2, 32, 3},
                                             {6, 3, 2, 64, 4},
                                             {6, 3, 1, 96, 3},
                                             {6, 3, 2, 160, 3},
                                             {6, 3, 1, 320, 1}}};
constexpr std::array<Stage, 7> kEfficientNetB0{{{1, 3, 1, 16, 1},
                                                {6, 3, 2, 24, 2},
                                                {6, 5, 2, 40, 2},
                                                {6, 3, 2, 80, 3},
                                                {6, 5, 1, 112, 3},
                                                {6, 5, 2, 192, 4},
                                                {6, 3, 1, 320, 1}}};

void norm_act(Builder& net, const std::string& at, Op activation) {
  net.norm(at + ".1");
  net.simple(at + ".2", activation);
}

void conv_norm_act(Builder& net, const std::string& at, int out, int kernel, int stride, Op activation) {
  net.conv(at + ".0", out, kernel, stride);
  norm_act(net, at, activation);
}

/// Squeeze-and-excitation (Hu et al. 2017, arXiv:1709.01507): a scale per channel, from the channels' means.
void excitation(Builder& net, const std::string& at, int squeezed) {
  const Builder::Value in = net.last();
  net.simple(at + ".avgpool", Op::GlobalPool);
  net.conv(at + ".fc1", squeezed, 1).bias = true;
  net.simple(at + ".activation", Op::Silu);
  net.conv(at + ".fc2", in.channels, 1).bias = true;
  net.simple(at + ".scale_activation", Op::Sigmoid);
  const Builder::Value scale = net.last();
  net.binary(at + ".mul", Op::Mul, in, scale);
}

/// Of EfficientNet, with squeeze-and-excitation, or of MobileNet v2.
void inverted_residual(Builder& net, const std::string& at, const Stage& stage, int stride, bool efficient) {
  const Builder::Value in = net.last();
  const Op activation = efficient ? Op::Silu : Op::Relu6;
  int index = 0;
  const auto next = [&] { return fmt::format("{}.{}.{}", at, efficient ? "block" : "conv", index++); };
  if (stage.expansion != 1) conv_norm_act(net, next(), in.channels * stage.expansion, 1, 1, activation);
  const std::string spatial = next();
  net.depthwise(spatial + ".0", stage.kernel, stride);
  norm_act(net, spatial, activation);
  if (efficient) excitation(net, next(), std::max(1, in.channels / 4));
  const std::string project = next();
  net.conv(efficient ? project + ".0" : project, stage.out, 1);
  net.norm(efficient ? project + ".1" : next());
  const Builder::Value branch = net.last();
  if (stride == 1 && in.channels == stage.out) net.binary(at + ".add", Op::Add, branch, in);
}

Architecture network(const std::string& name, const Options& options, bool efficient) {
  Builder net(name);
  int index = 0;
  const auto whole_conv = [&](int out, int kernel, int stride) {
    const std::string at = fmt::format("features.{}", index++);
    net.block(at, efficient ? "Conv-BN-SiLU" : "Conv-BN-ReLU6");
    conv_norm_act(net, at, out, kernel, stride, efficient ? Op::Silu : Op::Relu6);
  };
  whole_conv(32, 3, 2);
  for (const Stage& stage : efficient ? kEfficientNetB0 : kMobileNetV2) {
    for (int i = 0; i < stage.blocks; ++i) {
      const std::string at =
          efficient ? fmt::format("features.{}.{}", index, i) : fmt::format("features.{}", index++);
      net.block(at, efficient ? "MBConv" : "InvertedResidual");
      inverted_residual(net, at, stage, i == 0 ? stage.stride : 1, efficient);
    }
    if (efficient) ++index;
  }
  whole_conv(1280, 1, 1);
  net.pooled_tap();
  net.dropout("classifier.0", 0.2);
  net.classifier("classifier.1", options.classes.value_or(1000));
  return net.finish();
}

}  // namespace

std::vector<Model> mobilenets_v2() {
  return {
      {"mobilenet_v2", [](const std::string& name, const Options& o) { return network(name, o, false); }}};
}

std::vector<Model> efficientnets() {
  return {
      {"efficientnet_b0", [](const std::string& name, const Options& o) { return network(name, o, true); }}};
}

}  // namespace graft::nn::zoo
