// MobileNet v3 (Howard et al. 2019, arXiv:1905.02244), of torchvision.

#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "cnn.h"

namespace graft::nn::zoo {
namespace {

/// What the file cannot tell: the strides of the blocks, and how many of them have ReLU.
struct MobileNetV3Plan {
  std::vector<int> strides;
  int with_relu;
};

const MobileNetV3Plan& plan_of(int blocks) {
  static const MobileNetV3Plan kLarge{{1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1}, 6},
      kSmall{{2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1}, 3};
  for (const MobileNetV3Plan* plan : {&kLarge, &kSmall})
    if (static_cast<int>(plan->strides.size()) == blocks) return *plan;
  throw Error(fmt::format("has {} blocks: a MobileNet v3 has {} (large) or {} (small)", blocks,
                          kLarge.strides.size(), kSmall.strides.size()));
}

void mobilenet_v3_block(CnnReader& r, const std::string& at, int stride, Op activation) {
  const Builder::Value in = r.net.last();
  const auto name = [&](int i) { return fmt::format("{}.block.{}", at, i); };
  const auto is_there = [&](int i) { return r.has(name(i) + ".0.weight") || r.has(name(i) + ".fc1.weight"); };
  for (int i = 0; is_there(i); ++i) {
    if (r.has(name(i) + ".fc1.weight")) {
      r.excitation(name(i), "fc1", "fc2", Op::Relu, Op::HardSigmoid);
      continue;
    }
    const bool spatial = r.map().shape(name(i) + ".0.weight", 4)[2] > 1;
    r.conv_norm(name(i), spatial ? stride : 1);
    if (is_there(i + 1)) r.act(name(i) + ".2", activation);
  }
  if (stride == 1 && r.net.last().channels == in.channels) r.add(at + ".add", in);
}

std::optional<Architecture> build_mobilenet_v3(const ModelFiles& files, TensorMap& tensors,
                                               std::vector<std::string>& notes) {
  CnnReader r("MobileNet v3", tensors, 1e-3);
  const auto block = [](int i) { return fmt::format("features.{}", i + 1); };
  int blocks = 0;
  while (r.has(block(blocks) + ".block.0.0.weight")) ++blocks;
  const MobileNetV3Plan& plan = plan_of(blocks);
  r.conv_norm_act("features.0", 2, Op::HardSwish);
  for (int i = 0; i < blocks; ++i) {
    r.net.block(block(i), "InvertedResidual");
    mobilenet_v3_block(r, block(i), plan.strides[static_cast<std::size_t>(i)],
                       i < plan.with_relu ? Op::Relu : Op::HardSwish);
  }
  r.conv_norm_act(block(blocks), 1, Op::HardSwish);
  r.pooled_tap();
  if (r.has("classifier.0.weight")) {
    r.linear("classifier.0");
    r.act("classifier.1", Op::HardSwish);
    r.net.dropout("classifier.2", 0.2);
  }
  r.classifier("classifier.3");
  return r.net.finish(cnn_preprocessing(files, 232, 224, "bilinear", notes));
}

}  // namespace

PublishedFamily mobilenet_v3() {
  return {"MobileNet v3",
          {"features.1.block.0.0.weight"},
          [](const ModelFiles& files, TensorMap tensors, std::optional<int>) {
            return read_cnn(files, std::move(tensors), build_mobilenet_v3);
          }};
}

}  // namespace graft::nn::zoo
