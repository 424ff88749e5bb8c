// LeNet-5 (LeCun et al. 1998) with ReLU and max pooling, `width` channels in the first layer, for square
// images of `side` pixels.

#include <graft/error.h>

#include "builder.h"
#include "zoo.h"

namespace graft::nn::zoo {
namespace {

Architecture lenet(const std::string& name, const Options& options) {
  const int width = options.width.value_or(16), side = options.side.value_or(32), left = side / 4;
  if (left < 2) throw Error("lenet: expected images of at least 8 px, got " + std::to_string(side) + " px");
  Builder net(name);
  net.conv("conv1", width, 5).bias = true;
  net.simple("relu1", Op::Relu);
  net.max_pool("pool1", 2, 2);
  net.conv("conv2", 2 * width, 5).bias = true;
  net.simple("relu2", Op::Relu);
  net.max_pool("pool2", 2, 2);
  net.add("flatten", Op::Flatten, 2 * width * left * left);
  net.linear("fc1", 8 * width);
  net.simple("relu3", Op::Relu);
  net.tap_here();
  net.classifier("fc2", options.classes.value_or(10));
  return net.finish();
}

}  // namespace

std::vector<Model> lenets() {
  return {{"lenet", lenet, true}};
}

}  // namespace graft::nn::zoo
