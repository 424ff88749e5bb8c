// SqueezeNet 1.0 and 1.1 (Iandola et al. 2016, arXiv:1602.07360), of torchvision.

#include <fmt/format.h>

#include "cnn.h"

namespace graft::nn::zoo {
namespace {

void fire(CnnReader& r, const std::string& at) {
  r.net.block(at, "Fire");
  r.conv(at + ".squeeze");
  r.act(at + ".squeeze_activation", Op::Relu);
  const Builder::Value squeezed = r.net.last();
  std::vector<Builder::Value> ends;
  for (const char* part : {".expand1x1", ".expand3x3"}) {
    r.net.go_on_from(squeezed);
    r.conv(at + part);
    r.act(at + part + "_activation", Op::Relu);
    ends.push_back(r.net.last());
  }
  r.concat(at + ".concat", ends);
}

}  // namespace

std::optional<Architecture> build_squeezenet(const ModelFiles& files, TensorMap& tensors,
                                             std::vector<std::string>& notes) {
  CnnReader r("SqueezeNet", tensors);
  const auto feature = [](int i) { return fmt::format("features.{}", i); };
  r.conv(feature(0), 2).padding = {};
  r.act(feature(1), Op::Relu);
  // The modules without tensors between are pools.
  int last = 1;
  constexpr int kMost = 100;
  for (int i = 2; i < kMost; ++i)
    if (r.has(feature(i) + ".squeeze.weight")) last = i;
  for (int i = 2; i <= last; ++i) {
    if (r.has(feature(i) + ".squeeze.weight"))
      fire(r, feature(i));
    else
      r.net.max_pool(feature(i), 3, 2).padding_rule = PaddingRule::Ceil;
  }
  const Builder::Value map = r.net.last();
  r.net.pooled_tap();
  if (r.has("classifier.1.weight")) {
    // A convolution of the map, whose scores are averaged.
    r.net.go_on_from(map);
    r.net.dropout("classifier.0", 0.5);
    r.conv("classifier.1");
    r.act("classifier.2", Op::Relu);
    r.net.simple("classifier.3", Op::GlobalPool);
    r.net.simple("classifier.4", Op::Flatten);
  }
  Architecture net = r.net.finish(cnn_preprocessing(files, 256, 224, "bilinear", notes));
  net.classifier = "classifier.1";
  net.classes = net.layers.back().name == "classifier.4" ? net.layers.back().out : 0;
  return net;
}

}  // namespace graft::nn::zoo
