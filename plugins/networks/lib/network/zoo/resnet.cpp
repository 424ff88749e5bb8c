// ResNet (He et al. 2015, arXiv:1512.03385) for 224 px, with the names and the layout of torchvision: in a
// bottleneck the 3 x 3 convolution has the stride ("v1.5").

#include <array>

#include "builder.h"
#include "zoo.h"

namespace graft::nn::zoo {
namespace {

/// The branch beside a block, where its value has another shape than its input.
Builder::Value skip_of(Builder& net, const std::string& at, const Builder::Value& in, int out, int stride) {
  if (stride == 1 && in.channels == out) return in;
  net.go_on_from(in);
  net.conv(at + "downsample.0", out, 1, stride);
  net.norm(at + "downsample.1");
  return net.last();
}

void basic_block(Builder& net, const std::string& at, int width, int stride) {
  const Builder::Value in = net.last();
  net.conv(at + "conv1", width, 3, stride);
  net.norm(at + "bn1");
  net.simple(at + "relu1", Op::Relu);
  net.conv(at + "conv2", width, 3);
  net.norm(at + "bn2");
  const Builder::Value branch = net.last();
  net.binary(at + "add", Op::Add, branch, skip_of(net, at, in, width, stride));
  net.simple(at + "relu2", Op::Relu);
}

void bottleneck(Builder& net, const std::string& at, int width, int stride) {
  const Builder::Value in = net.last();
  const int out = 4 * width;
  net.conv(at + "conv1", width, 1);
  net.norm(at + "bn1");
  net.simple(at + "relu1", Op::Relu);
  net.conv(at + "conv2", width, 3, stride);
  net.norm(at + "bn2");
  net.simple(at + "relu2", Op::Relu);
  net.conv(at + "conv3", out, 1);
  net.norm(at + "bn3");
  const Builder::Value branch = net.last();
  net.binary(at + "add", Op::Add, branch, skip_of(net, at, in, out, stride));
  net.simple(at + "relu3", Op::Relu);
}

Architecture resnet(const std::string& name, const Options& options, std::array<int, 4> blocks, bool deep) {
  Builder net(name);
  net.conv("conv1", 64, 7, 2);
  net.norm("bn1");
  net.simple("relu", Op::Relu);
  net.max_pool("maxpool", 3, 2, 1);
  for (int stage = 0; stage < 4; ++stage)
    for (int block = 0; block < blocks[static_cast<std::size_t>(stage)]; ++block) {
      const std::string at = "layer" + std::to_string(stage + 1) + "." + std::to_string(block);
      const int width = 64 << stage, stride = stage > 0 && block == 0 ? 2 : 1;
      net.block(at, deep ? "Bottleneck" : "BasicBlock");
      (deep ? bottleneck : basic_block)(net, at + ".", width, stride);
    }
  net.simple("avgpool", Op::GlobalPool);
  net.simple("flatten", Op::Flatten);
  net.tap_here();
  net.classifier("fc", options.classes.value_or(1000));
  return net.finish();
}

Model model(const char* name, std::array<int, 4> blocks, bool deep) {
  return {name, [=](const std::string& n, const Options& o) { return resnet(n, o, blocks, deep); }};
}

}  // namespace

std::vector<Model> resnets() {
  return {model("resnet18", {2, 2, 2, 2}, false), model("resnet34", {3, 4, 6, 3}, false),
          model("resnet50", {3, 4, 6, 3}, true), model("resnet101", {3, 4, 23, 3}, true)};
}

}  // namespace graft::nn::zoo
