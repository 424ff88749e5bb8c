// MobileNet v2 (Sandler et al. 2018, arXiv:1801.04381), names and layout of torchvision.

#include <array>

#include "builder.h"
#include "zoo.h"

namespace graft::nn::zoo {
namespace {

struct InvertedResiduals {
  int expansion, out, blocks, stride;
};
constexpr std::array<InvertedResiduals, 7> kInvertedResiduals{{{1, 16, 1, 1},
                                                               {6, 24, 2, 2},
                                                               {6, 32, 3, 2},
                                                               {6, 64, 4, 2},
                                                               {6, 96, 3, 1},
                                                               {6, 160, 3, 2},
                                                               {6, 320, 1, 1}}};

void conv_norm_relu6(Builder& net, const std::string& at, int out, int kernel, int stride, bool depthwise) {
  if (depthwise)
    net.depthwise(at + ".0", kernel, stride);
  else
    net.conv(at + ".0", out, kernel, stride);
  net.norm(at + ".1");
  net.simple(at + ".2", Op::Relu6);
}

void inverted_residual(Builder& net, const std::string& at, int expansion, int out, int stride) {
  const Builder::Value in = net.last();
  int index = 0;
  const auto next = [&] { return at + ".conv." + std::to_string(index++); };
  if (expansion != 1) conv_norm_relu6(net, next(), in.channels * expansion, 1, 1, false);
  conv_norm_relu6(net, next(), 0, 3, stride, true);
  net.conv(next(), out, 1);
  net.norm(next());
  const Builder::Value branch = net.last();
  if (stride == 1 && in.channels == out) net.binary(at + ".add", Op::Add, branch, in);
}

Architecture mobilenet_v2(const std::string& name, const Options& options) {
  Builder net(name);
  int index = 0;
  const auto next = [&] { return "features." + std::to_string(index++); };
  const std::string stem = next();
  net.block(stem, "Conv-BN-ReLU6");
  conv_norm_relu6(net, stem, 32, 3, 2, false);
  for (const InvertedResiduals& stage : kInvertedResiduals)
    for (int block = 0; block < stage.blocks; ++block) {
      const std::string at = next();
      net.block(at, "InvertedResidual");
      inverted_residual(net, at, stage.expansion, stage.out, block == 0 ? stage.stride : 1);
    }
  const std::string head = next();
  net.block(head, "Conv-BN-ReLU6");
  conv_norm_relu6(net, head, 1280, 1, 1, false);
  net.simple("avgpool", Op::GlobalPool);
  net.simple("flatten", Op::Flatten);
  net.tap_here();
  net.dropout("classifier.0", 0.2);
  net.classifier("classifier.1", options.classes.value_or(1000));
  return net.finish();
}

}  // namespace

std::vector<Model> mobilenets_v2() {
  return {{"mobilenet_v2", mobilenet_v2}};
}

}  // namespace graft::nn::zoo
