// DenseNet (Huang et al. 2016, arXiv:1608.06993), of torchvision and timm.

#include <fmt/format.h>

#include "cnn.h"

namespace graft::nn::zoo {
namespace {

/// Batch-norm, ReLU and a convolution; published files still have a dot before the number, which modules have
/// no longer.
void norm_act_conv(CnnReader& r, const std::string& at, const std::string& number) {
  const auto in_file = [&](const char* part) {
    const std::string dotted = fmt::format("{}.{}.{}", at, part, number);
    return r.has(dotted + ".weight") ? dotted : fmt::format("{}.{}{}", at, part, number);
  };
  r.norm(fmt::format("{}.norm{}", at, number), in_file("norm"));
  r.act(fmt::format("{}.relu{}", at, number), Op::Relu);
  r.conv(fmt::format("{}.conv{}", at, number), 1, in_file("conv"));
}

}  // namespace

std::optional<Architecture> build_densenet(const ModelFiles& files, TensorMap& tensors,
                                           std::vector<std::string>& notes) {
  CnnReader r("DenseNet", tensors);
  r.conv("features.conv0", 2);
  r.norm("features.norm0");
  r.act("features.relu0", Op::Relu);
  r.net.max_pool("features.pool0", 3, 2, 1);
  const auto layer = [](int block, int i) {
    return fmt::format("features.denseblock{}.denselayer{}", block, i);
  };
  const auto is_there = [&](int block, int i) {
    return r.has(layer(block, i) + ".conv1.weight") || r.has(layer(block, i) + ".conv.1.weight");
  };
  for (int block = 1; is_there(block, 1); ++block) {
    for (int i = 1; is_there(block, i); ++i) {
      const std::string at = layer(block, i);
      r.net.block(at, "DenseLayer");
      const Builder::Value in = r.net.last();
      norm_act_conv(r, at, "1");
      norm_act_conv(r, at, "2");
      r.concat(at + ".concat", {in, r.net.last()});
    }
    const std::string at = fmt::format("features.transition{}", block);
    if (!r.has(at + ".conv.weight")) continue;
    r.net.block(at, "Transition");
    norm_act_conv(r, at, "");
    Layer& pool = r.net.simple(at + ".pool", Op::WindowAvgPool);
    pool.kernel = pool.stride = 2;
  }
  r.norm("features.norm5");
  r.act("relu", Op::Relu);
  r.net.pooled_tap();
  r.classifier("classifier");
  return r.net.finish(cnn_preprocessing(files, 256, 224, "bilinear", notes));
}

}  // namespace graft::nn::zoo
