// ResNet (He et al. 2015, arXiv:1512.03385) for 224 px, with the names and the layout of torchvision: in a
// bottleneck the 3 x 3 convolution has the stride ("v1.5"). And for 32 px (section 4.2): three stages of
// `width`, 2 `width` and 4 `width` channels, parameter-free shortcuts, names as in the common PyTorch
// checkpoints.

#include <fmt/format.h>

#include "builder.h"
#include "zoo.h"

namespace graft::nn::zoo {
namespace {

enum class Block { Basic, Bottleneck, Small };

/// The branch beside a block, where its value has another shape than its input.
Builder::Value skip_of(Builder& net, const std::string& at, const Builder::Value& in, int out, int stride,
                       Block kind) {
  if (stride == 1 && in.channels == out) return in;
  net.go_on_from(in);
  if (kind == Block::Small) {
    net.add(at + ".shortcut", Op::Shortcut, out).stride = stride;
  } else {
    net.conv(at + ".downsample.0", out, 1, stride);
    net.norm(at + ".downsample.1");
  }
  return net.last();
}

/// Two convolutions of 3 x 3, the first of which has the stride; in a bottleneck, the second of 1 x 1, 3 x 3
/// and 1 x 1.
void block(Builder& net, const std::string& at, int width, int stride, Block kind) {
  const bool deep = kind == Block::Bottleneck;
  net.block(at, deep ? "Bottleneck" : "BasicBlock");
  const Builder::Value in = net.last();
  const int out = deep ? 4 * width : width, last = deep ? 3 : 2;
  for (int i = 1; i <= last; ++i) {
    net.conv(fmt::format("{}.conv{}", at, i), i == last ? out : width, deep && i != 2 ? 1 : 3,
             i == last - 1 ? stride : 1);
    net.norm(fmt::format("{}.bn{}", at, i));
    if (i < last) net.simple(fmt::format("{}.relu{}", at, i), Op::Relu);
  }
  const Builder::Value branch = net.last();
  net.binary(at + ".add", Op::Add, branch, skip_of(net, at, in, out, stride, kind));
  net.simple(fmt::format("{}.relu{}", at, last), Op::Relu);
}

void stages(Builder& net, int width, const std::vector<int>& blocks, Block kind) {
  for (std::size_t stage = 0; stage < blocks.size(); ++stage)
    for (int i = 0; i < blocks[stage]; ++i)
      block(net, fmt::format("layer{}.{}", stage + 1, i), width << stage, stage > 0 && i == 0 ? 2 : 1, kind);
  net.pooled_tap();
}

Architecture resnet(const std::string& name, const Options& options, const std::vector<int>& blocks,
                    Block kind) {
  Builder net(name);
  net.conv("conv1", 64, 7, 2);
  net.norm("bn1");
  net.simple("relu", Op::Relu);
  net.max_pool("maxpool", 3, 2, 1);
  stages(net, 64, blocks, kind);
  net.classifier("fc", options.classes.value_or(1000));
  return net.finish();
}

Architecture cifar_resnet(const std::string& name, const Options& options, int depth) {
  Builder net(name);
  const int width = options.width.value_or(16);
  net.conv("conv1", width, 3);
  net.norm("bn1");
  net.simple("relu1", Op::Relu);
  stages(net, width, std::vector<int>(3, (depth - 2) / 6), Block::Small);
  net.classifier("linear", options.classes.value_or(10));
  return net.finish();
}

Model model(const char* name, const std::vector<int>& blocks, Block kind) {
  return {name, [=](const std::string& n, const Options& o) { return resnet(n, o, blocks, kind); }};
}

}  // namespace

std::vector<Model> resnets() {
  return {model("resnet18", {2, 2, 2, 2}, Block::Basic), model("resnet34", {3, 4, 6, 3}, Block::Basic),
          model("resnet50", {3, 4, 6, 3}, Block::Bottleneck),
          model("resnet101", {3, 4, 23, 3}, Block::Bottleneck)};
}

std::vector<Model> cifar_resnets() {
  std::vector<Model> out;
  for (const int depth : {8, 14, 20, 32, 56})
    out.push_back({"resnet" + std::to_string(depth),
                   [depth](const std::string& n, const Options& o) { return cifar_resnet(n, o, depth); },
                   true});
  return out;
}

}  // namespace graft::nn::zoo
