// EfficientNet B0 to B7 (Tan and Le 2019, arXiv:1905.11946) and V2 (2021, arXiv:2104.00298), of torchvision.

#include <utility>

#include <fmt/format.h>

#include "cnn.h"

namespace graft::nn::zoo {
namespace {

/// What the file cannot tell, by the channels of the last feature map and of the first.
struct EfficientNetFacts {
  int head, stem;
  double eps;
  int resize, crop;
  const char* filter;
};
constexpr EfficientNetFacts kEfficientNets[] = {
    {1280, 32, 1e-5, 256, 224, "bicubic"}, {1408, 32, 1e-5, 288, 288, "bicubic"},
    {1536, 40, 1e-5, 320, 300, "bicubic"}, {1792, 48, 1e-5, 384, 380, "bicubic"},
    {2048, 48, 1e-3, 456, 456, "bicubic"}, {2304, 56, 1e-3, 528, 528, "bicubic"},
    {2560, 64, 1e-3, 600, 600, "bicubic"}};
constexpr EfficientNetFacts kSecondVersion = {1280, 24, 1e-3, 384, 384, "bilinear"},
                            kB1 = {1280, 32, 1e-5, 256, 240, "bicubic"},
                            kOther = {0, 0, 1e-5, 256, 224, "bicubic"};

EfficientNetFacts facts_of(const TensorMap& tensors, bool second_version) {
  if (second_version) return kSecondVersion;
  int head = 0;
  for (int i = 0; tensors.has(fmt::format("features.{}.0.weight", i)) || i == 0 ||
                  tensors.has(fmt::format("features.{}.0.block.0.0.weight", i));
       ++i)
    if (const std::string name = fmt::format("features.{}.0.weight", i); tensors.has(name))
      head = static_cast<int>(tensors.shape(name, 4)[0]);
  // B0 and B1 have the same channels; B1 has a second block in its first stage.
  if (head == kB1.head && tensors.has("features.1.1.block.0.0.weight")) return kB1;
  for (const EfficientNetFacts& one : kEfficientNets)
    if (one.head == head) return one;
  return kOther;
}

/// A block's convolutions one after the other, with squeeze-and-excitation where it has that; the last one
/// has no activation, unless it is the only one. The first of more than a pixel has the stride.
void mb_conv_block(CnnReader& r, const std::string& at, int stride) {
  const Builder::Value in = r.net.last();
  const auto name = [&](int i) { return fmt::format("{}.block.{}", at, i); };
  const auto is_there = [&](int i) { return r.has(name(i) + ".0.weight") || r.has(name(i) + ".fc1.weight"); };
  int left = stride;
  for (int i = 0; is_there(i); ++i) {
    if (r.has(name(i) + ".fc1.weight")) {
      r.excitation(name(i), "fc1", "fc2", Op::Silu, Op::Sigmoid);
      continue;
    }
    const bool strides = r.map().shape(name(i) + ".0.weight", 4)[2] > 1;
    r.conv_norm(name(i), strides ? std::exchange(left, 1) : 1);
    if (i == 0 || is_there(i + 1)) r.act(name(i) + ".2", Op::Silu);
  }
  if (stride == 1 && r.net.last().channels == in.channels) r.add(at + ".add", in);
}

std::optional<Architecture> build_efficientnet(const ModelFiles& files, TensorMap& tensors,
                                               std::vector<std::string>& notes) {
  // The first blocks of V2 have whole convolutions in place of those of each channel.
  const Shape first = tensors.shape("features.1.0.block.0.0.weight", 4);
  const bool second_version = first[1] > 1;
  const EfficientNetFacts facts = facts_of(tensors, second_version);
  CnnReader r("EfficientNet", tensors, facts.eps);
  if (facts.head == 0)
    notes.push_back(fmt::format("guessed: batch-norm's eps is {}, as in EfficientNet B0 to B4", facts.eps));
  r.conv_norm_act("features.0", 2, Op::Silu);
  const auto block = [](int stage, int i) { return fmt::format("features.{}.{}", stage, i); };
  constexpr int kStrides[] = {1, 2, 2, 2, 1, 2, 1};
  int stage = 1;
  for (; stage <= 7 && r.has(block(stage, 0) + ".block.0.0.weight"); ++stage)
    for (int i = 0; r.has(block(stage, i) + ".block.0.0.weight"); ++i) {
      r.net.block(block(stage, i), "MBConv");
      mb_conv_block(r, block(stage, i), i == 0 ? kStrides[stage - 1] : 1);
    }
  r.conv_norm_act(fmt::format("features.{}", stage), 1, Op::Silu);
  r.pooled_tap();
  r.net.dropout("classifier.0", 0.2);
  r.classifier("classifier.1");
  return r.net.finish(cnn_preprocessing(files, facts.resize, facts.crop, facts.filter, notes));
}

}  // namespace

PublishedFamily published_efficientnet() {
  return {"EfficientNet",
          {"features.1.0.block.0.0.weight"},
          [](const ModelFiles& files, TensorMap tensors, std::optional<int>) {
            return read_cnn(files, std::move(tensors), build_efficientnet);
          }};
}

}  // namespace graft::nn::zoo
