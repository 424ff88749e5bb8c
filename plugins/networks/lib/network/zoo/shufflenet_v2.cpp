// ShuffleNet v2 (Ma et al. 2018, arXiv:1807.11164), of torchvision.

#include <fmt/format.h>

#include "cnn.h"

namespace graft::nn::zoo {
namespace {

/// Two branches of half the channels each: the first of a stage halves the image in both, the others leave
/// one as it is.
void shuffle_block(CnnReader& r, const std::string& at) {
  r.net.block(at, "InvertedResidual");
  const Builder::Value in = r.net.last();
  const bool halves = r.has(at + ".branch1.0.weight");
  const auto conv_norm = [&](const std::string& branch, int i, int stride, bool activation) {
    r.conv(fmt::format("{}.{}.{}", at, branch, i), stride);
    r.norm(fmt::format("{}.{}.{}", at, branch, i + 1));
    if (activation) r.act(fmt::format("{}.{}.{}", at, branch, i + 2), Op::Relu);
  };
  const auto slice = [&](const char* name, int first, int count) {
    r.net.go_on_from(in);
    r.net.add(at + name, Op::ChannelSlice, count).first = first;
  };
  if (halves) {
    conv_norm("branch1", 0, 2, false);
    conv_norm("branch1", 2, 1, true);
  } else {
    slice(".first", 0, in.channels / 2);
  }
  const Builder::Value other = r.net.last();
  if (halves)
    r.net.go_on_from(in);
  else
    slice(".second", in.channels / 2, in.channels - in.channels / 2);
  conv_norm("branch2", 0, 1, true);
  conv_norm("branch2", 3, halves ? 2 : 1, false);
  conv_norm("branch2", 5, 1, true);
  r.concat(at + ".concat", {other, r.net.last()});
  r.net.simple(at + ".shuffle", Op::ChannelShuffle).groups = 2;
}

}  // namespace

std::optional<Architecture> build_shufflenet(const ModelFiles& files, TensorMap& tensors,
                                             std::vector<std::string>& notes) {
  CnnReader r("ShuffleNet v2", tensors);
  r.conv_norm_act("conv1", 2, Op::Relu);
  r.net.max_pool("maxpool", 3, 2, 1);
  for (int stage = 2; r.has(fmt::format("stage{}.0.branch2.0.weight", stage)); ++stage)
    for (int i = 0; r.has(fmt::format("stage{}.{}.branch2.0.weight", stage, i)); ++i)
      shuffle_block(r, fmt::format("stage{}.{}", stage, i));
  r.conv_norm_act("conv5", 1, Op::Relu);
  r.net.pooled_tap();
  r.classifier("fc");
  return r.net.finish(cnn_preprocessing(files, 256, 224, "bilinear", notes));
}

}  // namespace graft::nn::zoo
