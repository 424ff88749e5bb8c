// EfficientNet B0 to B7 (Tan and Le 2019, arXiv:1905.11946) and V2 (2021, arXiv:2104.00298), of torchvision.

#include <map>
#include <utility>

#include <fmt/format.h>

#include "cnn.h"

namespace graft::nn::zoo {
namespace {

/// What the file cannot tell.
struct EfficientNetFacts {
  double eps;
  int resize, crop;
  const char* filter;
  bool to_half = false;  ///< Images are normalised to [-1,1].
};

EfficientNetFacts second_version_facts(const TensorMap& tensors) {
  if (tensors.shape("features.0.0.weight", 4)[0] == 32) return {1e-3, 480, 480, "bicubic", true};  // L
  if (tensors.has("features.7.0.block.0.0.weight")) return {1e-3, 480, 480, "bilinear"};           // M
  return {1e-3, 384, 384, "bilinear"};                                                             // S
}

EfficientNetFacts first_version_facts(const TensorMap& tensors, std::vector<std::string>& notes) {
  // B0 and B1 have the same channels; B1 has a second block in its first stage.
  if (tensors.has("features.1.1.block.0.0.weight") && !tensors.has("features.1.2.block.0.0.weight") &&
      tensors.has("features.8.0.weight") && tensors.shape("features.8.0.weight", 4)[0] == 1280)
    return {1e-5, 256, 240, "bicubic"};
  // The others by the channels of the last feature map.
  static const std::map<std::int64_t, EfficientNetFacts> kByHead = {
      {1280, {1e-5, 256, 224, "bicubic"}}, {1408, {1e-5, 288, 288, "bicubic"}},
      {1536, {1e-5, 320, 300, "bicubic"}}, {1792, {1e-5, 384, 380, "bicubic"}},
      {2048, {1e-3, 456, 456, "bicubic"}}, {2304, {1e-3, 528, 528, "bicubic"}},
      {2560, {1e-3, 600, 600, "bicubic"}}};
  const auto found = tensors.has("features.8.0.weight")
                         ? kByHead.find(tensors.shape("features.8.0.weight", 4)[0])
                         : kByHead.end();
  if (found != kByHead.end()) return found->second;
  notes.emplace_back("guessed: batch-norm's eps is 1e-5, as in B0 to B4; from B5 on it is 1e-3");
  return kByHead.at(1280);
}

}  // namespace

std::optional<Architecture> build_efficientnet(const ModelFiles& files, TensorMap& tensors,
                                               std::vector<std::string>& notes) {
  // The first blocks of V2 have whole convolutions in place of those of each channel.
  const Shape first = tensors.shape("features.1.0.block.0.0.weight", 4);
  const EfficientNetFacts facts =
      first[1] > 1 ? second_version_facts(tensors) : first_version_facts(tensors, notes);
  CnnReader r("EfficientNet", tensors, facts.eps);
  r.conv_norm_act("features.0", 2, Op::Silu);
  const auto block = [](int stage, int i) { return fmt::format("features.{}.{}", stage, i); };
  constexpr int kStrides[] = {1, 2, 2, 2, 1, 2, 1};
  int stage = 1;
  for (; stage <= 7 && r.has(block(stage, 0) + ".block.0.0.weight"); ++stage)
    for (int i = 0; r.has(block(stage, i) + ".block.0.0.weight"); ++i) {
      r.net.block(block(stage, i), "MBConv");
      r.inverted_residual(block(stage, i), i == 0 ? kStrides[stage - 1] : 1, Op::Silu, Op::Silu, Op::Sigmoid);
    }
  r.conv_norm_act(fmt::format("features.{}", stage), 1, Op::Silu);
  r.net.pooled_tap();
  r.net.dropout("classifier.0", 0.2);
  r.classifier("classifier.1");
  Preprocessing preprocessing = cnn_preprocessing(files, facts.resize, facts.crop, facts.filter, notes);
  if (facts.to_half && preprocessing_file(files) == nullptr) {
    preprocessing.preset = "own";
    preprocessing.mean = preprocessing.deviation = {0.5, 0.5, 0.5};
  }
  return r.net.finish(std::move(preprocessing));
}

}  // namespace graft::nn::zoo
