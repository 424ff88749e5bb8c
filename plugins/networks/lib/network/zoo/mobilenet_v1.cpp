// MobileNet v1 (Howard et al. 2017, arXiv:1704.04861) as Keras trained it: TensorFlow's `same` padding, so
// that stride 2 pads right and bottom only, batch-norm eps 1e-3 and momentum 0.01, ReLU6.

#include <array>

#include "builder.h"
#include "zoo.h"

namespace graft::nn::zoo {
namespace {

struct Separable {
  int out, stride;
};
constexpr std::array<Separable, 13> kSeparable{{{64, 1},
                                                {128, 2},
                                                {128, 1},
                                                {256, 2},
                                                {256, 1},
                                                {512, 2},
                                                {512, 1},
                                                {512, 1},
                                                {512, 1},
                                                {512, 1},
                                                {512, 1},
                                                {1024, 2},
                                                {1024, 1}}};

/// Convolution, norm and ReLU6 below `at`. In the checkpoints padding is a module of its own, number 0, where
/// there is any that is unequal.
void convolution(Builder& net, const std::string& at, int out, int kernel, int stride, bool depthwise) {
  int index = stride == 2 ? 1 : 0;
  const auto next = [&] { return at + "." + std::to_string(index++); };
  Layer& conv = depthwise ? net.depthwise(next(), kernel, stride) : net.conv(next(), out, kernel, stride);
  if (stride == 2) conv.padding = {0, 0, 1, 1};
  Layer& norm = net.norm(next());
  norm.eps = 1e-3;
  norm.momentum = 0.01;
  net.simple(next(), Op::Relu6);
}

Architecture mobilenet_v1(const std::string& name, const Options& options, int percent) {
  Builder net(name);
  net.block("features.0", "Conv-BN-ReLU6");
  convolution(net, "features.0", 32 * percent / 100, 3, 2, false);
  for (std::size_t i = 0; i < kSeparable.size(); ++i) {
    const std::string at = "features." + std::to_string(i + 1);
    net.block(at, "Separable");
    convolution(net, at + ".0", 0, 3, kSeparable[i].stride, true);
    convolution(net, at + ".1", kSeparable[i].out * percent / 100, 1, 1, false);
  }
  net.pooled_tap();
  net.classifier("classifier", options.classes.value_or(1000));
  return net.finish();
}

Model model(const char* name, int percent) {
  return {name, [percent](const std::string& n, const Options& o) { return mobilenet_v1(n, o, percent); }};
}

}  // namespace

std::vector<Model> mobilenets_v1() {
  return {model("mobilenet_v1_025", 25), model("mobilenet_v1_050", 50), model("mobilenet_v1_075", 75),
          model("mobilenet_v1", 100)};
}

}  // namespace graft::nn::zoo
