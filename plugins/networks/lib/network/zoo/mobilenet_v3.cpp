// MobileNet v3 (Howard et al. 2019, arXiv:1905.02244), of torchvision.

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

}  // namespace

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
    r.inverted_residual(block(i), plan.strides[static_cast<std::size_t>(i)],
                        i < plan.with_relu ? Op::Relu : Op::HardSwish, Op::Relu, Op::HardSigmoid);
  }
  r.conv_norm_act(block(blocks), 1, Op::HardSwish);
  r.net.pooled_tap();
  if (r.has("classifier.0.weight")) {
    r.linear("classifier.0");
    r.act("classifier.1", Op::HardSwish);
    r.net.dropout("classifier.2", 0.2);
  }
  r.classifier("classifier.3");
  return r.net.finish(cnn_preprocessing(files, 232, 224, "bilinear", notes));
}

}  // namespace graft::nn::zoo
