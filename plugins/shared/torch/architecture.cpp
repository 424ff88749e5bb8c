#include "architecture.h"

#include <utility>

#include <graft/error.h>

namespace graft {
namespace {

using Op = Layer::Op;

/// Appends layers, each fed by the one before unless told otherwise.
class Builder {
 public:
  explicit Builder(std::string name) { net_.name = std::move(name); }

  std::string conv(const std::string& name, int in, int out, int kernel, int stride, int padding,
                   bool bias = false) {
    return add({name, Op::Conv, {last_}, in, out, kernel, stride, padding, bias});
  }
  std::string norm(const std::string& name, int channels) {
    return add({name, Op::BatchNorm, {last_}, channels, channels});
  }
  std::string simple(const std::string& name, Op op) { return add({name, op, {last_}}); }
  std::string pool(const std::string& name, int kernel, int stride) {
    return add({name, Op::MaxPool, {last_}, 0, 0, kernel, stride});
  }
  std::string linear(const std::string& name, int in, int out) {
    return add({name, Op::Linear, {last_}, in, out, 1, 1, 0, true});
  }
  std::string add(Layer layer) {
    last_ = layer.name;
    net_.layers.push_back(std::move(layer));
    return last_;
  }
  const std::string& last() const { return last_; }

  Architecture finish(std::string tap, int features, int side) {
    net_.tap = std::move(tap);
    net_.features = features;
    net_.side = side;
    return std::move(net_);
  }

 private:
  Architecture net_;
  std::string last_ = "input";
};

Architecture resnet(const std::string& name, int depth, int width, int classes) {
  Builder net(name);
  net.conv("conv1", 3, width, 3, 1, 1);
  net.norm("bn1", width);
  net.simple("relu1", Op::Relu);
  int channels = width;
  for (int stage = 1; stage <= 3; ++stage)
    for (int block = 0; block < (depth - 2) / 6; ++block) {
      const int out = width << (stage - 1);
      const int stride = stage > 1 && block == 0 ? 2 : 1;
      const std::string at = "layer" + std::to_string(stage) + "." + std::to_string(block) + ".";
      std::string skip = net.last();
      net.conv(at + "conv1", channels, out, 3, stride, 1);
      net.norm(at + "bn1", out);
      net.simple(at + "relu1", Op::Relu);
      net.conv(at + "conv2", out, out, 3, 1, 1);
      const std::string branch = net.norm(at + "bn2", out);
      if (stride != 1 || channels != out)
        skip = net.add({at + "shortcut", Op::Shortcut, {skip}, channels, out, 1, stride});
      net.add({at + "add", Op::Add, {branch, skip}});
      net.simple(at + "relu2", Op::Relu);
      channels = out;
    }
  const std::string tap = net.simple("avgpool", Op::GlobalPool);
  net.linear("linear", channels, classes);
  return net.finish(tap, channels, 0);
}

Architecture lenet(int width, int classes, int side) {
  const int left = side / 4;
  if (left < 2) throw Error("lenet: expected images of at least 8 px, got " + std::to_string(side) + " px");
  Builder net("lenet");
  net.conv("conv1", 3, width, 5, 1, 2, true);
  net.simple("relu1", Op::Relu);
  net.pool("pool1", 2, 2);
  net.conv("conv2", width, 2 * width, 5, 1, 2, true);
  net.simple("relu2", Op::Relu);
  net.pool("pool2", 2, 2);
  net.simple("flatten", Op::Flatten);
  net.linear("fc1", 2 * width * left * left, 8 * width);
  const std::string tap = net.simple("relu3", Op::Relu);
  net.linear("fc2", 8 * width, classes);
  return net.finish(tap, 8 * width, side);
}

}  // namespace

const std::vector<std::string>& architecture_names() {
  static const std::vector<std::string> names = {"resnet8", "resnet14", "resnet20", "lenet"};
  return names;
}

Architecture make_architecture(const std::string& name, int width, int classes, int side) {
  if (name == "resnet8") return resnet(name, 8, width, classes);
  if (name == "resnet14") return resnet(name, 14, width, classes);
  if (name == "resnet20") return resnet(name, 20, width, classes);
  if (name == "lenet") return lenet(width, classes, side);
  std::string known;
  for (const std::string& n : architecture_names()) known += (known.empty() ? "" : ", ") + n;
  throw Error("unknown architecture '" + name + "': expected one of " + known);
}

}  // namespace graft
