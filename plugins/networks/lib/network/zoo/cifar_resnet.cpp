// ResNets for 32 px (He et al. 2015, arXiv:1512.03385, section 4.2): three stages of `width`, 2 `width` and
// 4 `width` channels, parameter-free shortcuts, names as in the common PyTorch checkpoints.

#include "builder.h"
#include "zoo.h"

namespace graft::nn::zoo {
namespace {

Architecture cifar_resnet(const std::string& name, const Options& options, int depth) {
  Builder net(name);
  const int width = options.width.value_or(16);
  net.conv("conv1", width, 3);
  net.norm("bn1");
  net.simple("relu1", Op::Relu);
  for (int stage = 0; stage < 3; ++stage)
    for (int block = 0; block < (depth - 2) / 6; ++block) {
      const std::string at = "layer" + std::to_string(stage + 1) + "." + std::to_string(block);
      const int out = width << stage, stride = stage > 0 && block == 0 ? 2 : 1;
      const Builder::Value in = net.last();
      net.block(at, "BasicBlock");
      net.conv(at + ".conv1", out, 3, stride);
      net.norm(at + ".bn1");
      net.simple(at + ".relu1", Op::Relu);
      net.conv(at + ".conv2", out, 3);
      net.norm(at + ".bn2");
      const Builder::Value branch = net.last();
      Builder::Value skip = in;
      if (stride != 1) {
        net.go_on_from(in);
        net.add(at + ".shortcut", Op::Shortcut, out).stride = stride;
        skip = net.last();
      }
      net.binary(at + ".add", Op::Add, branch, skip);
      net.simple(at + ".relu2", Op::Relu);
    }
  net.simple("avgpool", Op::GlobalPool);
  net.simple("flatten", Op::Flatten);
  net.tap_here();
  net.classifier("linear", options.classes.value_or(10));
  return net.finish();
}

}  // namespace

std::vector<Model> cifar_resnets() {
  std::vector<Model> out;
  for (const int depth : {8, 14, 20, 32, 56})
    out.push_back({"resnet" + std::to_string(depth),
                   [depth](const std::string& n, const Options& o) { return cifar_resnet(n, o, depth); },
                   true});
  return out;
}

}  // namespace graft::nn::zoo
