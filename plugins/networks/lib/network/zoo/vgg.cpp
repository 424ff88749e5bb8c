// VGG (Simonyan and Zisserman 2014, arXiv:1409.1556), configurations A, B, D and E, names of torchvision.

#include <vector>

#include "builder.h"
#include "zoo.h"

namespace graft::nn::zoo {
namespace {

/// Convolutions of 64, 128, 256, 512 and 512 channels, each stage ended by a pool that halves the image.
Architecture vgg(const std::string& name, const Options& options, const std::vector<int>& convolutions,
                 bool batch_norm) {
  Builder net(name);
  int index = 0;
  const auto next = [&] { return "features." + std::to_string(index++); };
  for (std::size_t stage = 0; stage < convolutions.size(); ++stage) {
    for (int i = 0; i < convolutions[stage]; ++i) {
      net.conv(next(), stage < 4 ? 64 << stage : 512, 3).bias = true;
      if (batch_norm) net.norm(next());
      net.simple(next(), Op::Relu);
    }
    net.max_pool(next(), 2, 2);
  }
  net.simple("avgpool", Op::AvgPool).size = 7;
  net.add("flatten", Op::Flatten, 512 * 7 * 7);
  net.linear("classifier.0", 4096);
  net.simple("classifier.1", Op::Relu);
  net.dropout("classifier.2", 0.5);
  net.linear("classifier.3", 4096);
  net.simple("classifier.4", Op::Relu);
  net.tap_here();
  net.dropout("classifier.5", 0.5);
  net.classifier("classifier.6", options.classes.value_or(1000));
  return net.finish();
}

}  // namespace

std::vector<Model> vggs() {
  const std::vector<std::pair<const char*, std::vector<int>>> depths = {{"vgg11", {1, 1, 2, 2, 2}},
                                                                        {"vgg13", {2, 2, 2, 2, 2}},
                                                                        {"vgg16", {2, 2, 3, 3, 3}},
                                                                        {"vgg19", {2, 2, 4, 4, 4}}};
  std::vector<Model> out;
  for (const bool batch_norm : {false, true})
    for (const auto& [name, convolutions] : depths)
      out.push_back({std::string(name) + (batch_norm ? "_bn" : ""),
                     [c = convolutions, batch_norm](const std::string& n, const Options& o) {
                       return vgg(n, o, c, batch_norm);
                     }});
  return out;
}

}  // namespace graft::nn::zoo
