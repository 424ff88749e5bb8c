// EfficientNet-B0 (Tan and Le 2019, arXiv:1905.11946), names and layout of torchvision. Stochastic depth,
// which torchvision uses in training, is left out: it is nothing at inference and has no weights.

#include <algorithm>
#include <array>

#include "builder.h"
#include "zoo.h"

namespace graft::nn::zoo {
namespace {

struct MbConvs {
  int expansion, kernel, stride, out, blocks;
};
constexpr std::array<MbConvs, 7> kMbConvs{{{1, 3, 1, 16, 1},
                                           {6, 3, 2, 24, 2},
                                           {6, 5, 2, 40, 2},
                                           {6, 3, 2, 80, 3},
                                           {6, 5, 1, 112, 3},
                                           {6, 5, 2, 192, 4},
                                           {6, 3, 1, 320, 1}}};

void conv_norm_silu(Builder& net, const std::string& at, int out, int kernel, int stride) {
  net.conv(at + ".0", out, kernel, stride);
  net.norm(at + ".1");
  net.simple(at + ".2", Op::Silu);
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

void mb_conv(Builder& net, const std::string& at, const MbConvs& stage, int stride) {
  const Builder::Value in = net.last();
  int index = 0;
  const auto next = [&] { return at + ".block." + std::to_string(index++); };
  if (stage.expansion != 1) conv_norm_silu(net, next(), in.channels * stage.expansion, 1, 1);
  const std::string spatial = next();
  net.depthwise(spatial + ".0", stage.kernel, stride);
  net.norm(spatial + ".1");
  net.simple(spatial + ".2", Op::Silu);
  excitation(net, next(), std::max(1, in.channels / 4));
  const std::string project = next();
  net.conv(project + ".0", stage.out, 1);
  net.norm(project + ".1");
  const Builder::Value branch = net.last();
  if (stride == 1 && in.channels == stage.out) net.binary(at + ".add", Op::Add, branch, in);
}

Architecture efficientnet_b0(const std::string& name, const Options& options) {
  Builder net(name);
  net.block("features.0", "Conv-BN-SiLU");
  conv_norm_silu(net, "features.0", 32, 3, 2);
  for (std::size_t s = 0; s < kMbConvs.size(); ++s)
    for (int block = 0; block < kMbConvs[s].blocks; ++block) {
      const std::string at = "features." + std::to_string(s + 1) + "." + std::to_string(block);
      net.block(at, "MBConv");
      mb_conv(net, at, kMbConvs[s], block == 0 ? kMbConvs[s].stride : 1);
    }
  net.block("features.8", "Conv-BN-SiLU");
  conv_norm_silu(net, "features.8", 1280, 1, 1);
  net.simple("avgpool", Op::GlobalPool);
  net.simple("flatten", Op::Flatten);
  net.tap_here();
  net.dropout("classifier.0", 0.2);
  net.classifier("classifier.1", options.classes.value_or(1000));
  return net.finish();
}

}  // namespace

std::vector<Model> efficientnets() {
  return {{"efficientnet_b0", efficientnet_b0}};
}

}  // namespace graft::nn::zoo
