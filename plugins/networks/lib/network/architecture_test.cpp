#include <network/architecture.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <graft/error.h>
#include <graft/testing/error_of.h>

#include <network/cost.h>

namespace graft::nn {
namespace {

using graft::testing::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// What torchvision says of one of its networks (testdata/make_torchvision.py).
struct Reference {
  std::int64_t parameters = 0, multiply_adds = 0;
  std::map<std::string, Shape> tensors;
};

std::map<std::string, Reference> torchvision() {
  std::map<std::string, Reference> out;
  std::ifstream in(GRAFT_NETWORK_TESTDATA "/torchvision_models.txt");
  Reference* model = nullptr;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name == "model") {
      words >> name;
      model = &out[name];
      words >> model->parameters >> model->multiply_adds;
    } else {
      for (std::int64_t extent = 0; words >> extent;) model->tensors[name].push_back(extent);
    }
  }
  return out;
}

std::map<std::string, Shape> tensors_of(const Architecture& net) {
  std::map<std::string, Shape> out;
  for (const Layer& layer : net.layers)
    for (const Parameter& p : parameters_of(layer)) out[p.path] = p.shape;
  return out;
}

Shape shape_at(const Architecture& net, const std::string& tap, int side) {
  const Cost cost = cost_of(net, side, side);
  const std::string layer = resolve_tap(net, tap);
  for (std::size_t i = 0; i < net.layers.size(); ++i)
    if (net.layers[i].name == layer) return cost.layers[i].output;
  return {};
}

TEST(Zoo, HasTheTensorsAndTheCostOfTorchvision) {
  const auto reference = torchvision();
  ASSERT_EQ(reference.size(), 14u);
  for (const auto& [name, wanted] : reference) {
    SCOPED_TRACE(name);
    const Architecture net = make_architecture(name);
    EXPECT_EQ(tensors_of(net), wanted.tensors);
    const Cost cost = cost_of(net, 224, 224);
    EXPECT_EQ(cost.parameters, wanted.parameters);
    EXPECT_EQ(cost.multiply_adds, wanted.multiply_adds);
    EXPECT_EQ(cost.layers.back().output, Shape{1000});
  }
}

TEST(Zoo, HasThePublishedNumbersOfParameters) {
  const auto parameters = [](const char* name) {
    return cost_of(make_architecture(name), 32, 32).parameters;
  };
  EXPECT_EQ(cost_of(make_architecture("resnet18"), 224, 224).parameters, 11'689'512);
  EXPECT_EQ(cost_of(make_architecture("resnet50"), 224, 224).parameters, 25'557'032);
  // Keras 2, MobileNet(alpha=1): trainable parameters.
  EXPECT_EQ(cost_of(make_architecture("mobilenet_v1"), 224, 224).parameters, 4'231'976);
  EXPECT_EQ(parameters("resnet20"), 269'722);
  EXPECT_EQ(parameters("resnet32"), 464'154);
  EXPECT_EQ(parameters("resnet56"), 853'018);
}

/// Whoever makes modules from the data relies on all of this.
TEST(Zoo, EveryNetworkIsWellFormed) {
  for (const std::string& name : architecture_names()) {
    SCOPED_TRACE(name);
    const Architecture net = make_architecture(name);
    EXPECT_EQ(net.name, name);
    const int side = net.preprocessing.crop;
    const Cost cost = cost_of(net, side, side);  // names are unique, inputs exist, shapes fit
    EXPECT_EQ(shape_at(net, net.tap, side), Shape{net.features});
    EXPECT_EQ(net.layers.back().name, net.classifier);
    EXPECT_EQ(net.layers.back().out, net.classes);
    EXPECT_GE(cost.activation_bytes, cost.peak_bytes - cost.layers[0].bytes);

    // A block's value is its last layer: nobody outside looks at what is before it.
    for (const Block& block : net.blocks) {
      const std::string at = block.name + ".", last = resolve_tap(net, block.name);
      EXPECT_EQ(last.substr(0, at.size()), at);
      for (const Layer& layer : net.layers)
        for (const std::string& from : layer.from) {
          const bool leaves = layer.name.substr(0, at.size()) != at && from.substr(0, at.size()) == at;
          EXPECT_TRUE(!leaves || from == last) << from;
        }
    }
    // Without its classifier it is the same network up to there.
    const Architecture headless = make_architecture(name, {.classes = 0, .width = {}, .side = {}});
    EXPECT_EQ(headless.layers.size() + 1, net.layers.size());
    EXPECT_EQ(headless.classifier, net.classifier);
    EXPECT_EQ(headless.find(headless.classifier), nullptr);
  }
}

TEST(Zoo, TheNetworksOfThisProjectKeepTheirNames) {
  const Architecture net = make_architecture("resnet8", {.classes = 5, .width = 4, .side = 24});
  EXPECT_EQ(net.layers.front().name, "conv1");
  EXPECT_THAT(tensors_of(net).at("layer3.0.conv1.weight"), ElementsAre(16, 8, 3, 3));
  EXPECT_THAT(tensors_of(net).at("linear.weight"), ElementsAre(5, 16));
  EXPECT_EQ(net.preprocessing.crop, 24);

  const Architecture lenet = make_architecture("lenet", {.classes = 3, .width = 6, .side = 28});
  EXPECT_THAT(tensors_of(lenet).at("fc1.weight"), ElementsAre(48, 12 * 7 * 7));
  EXPECT_THAT(tensors_of(lenet).at("fc2.weight"), ElementsAre(3, 48));
  EXPECT_EQ(lenet.tap, "relu3");
}

TEST(Zoo, TensorFlowPadsRightAndBottom) {
  const Architecture net = make_architecture("mobilenet_v1_075");
  EXPECT_EQ(net.find("features.0.1")->padding, (Padding{0, 0, 1, 1}));
  EXPECT_EQ(net.find("features.1.0.0")->padding, (Padding{1, 1, 1, 1}));
  EXPECT_EQ(net.find("features.0.2")->eps, 1e-3);
  EXPECT_EQ(net.features, 768);
  EXPECT_EQ(net.preprocessing.preset, "tf");
  EXPECT_EQ(shape_at(net, "features.13", 224), (Shape{768, 7, 7}));
}

TEST(Zoo, WrongOptionsAreNamed) {
  EXPECT_THAT(
      error_of([] { make_architecture("resnet51"); }),
      HasSubstr("unknown architecture 'resnet51'; did you mean 'resnet50'?: expected one of resnet18, "));
  EXPECT_EQ(error_of([] { make_architecture("vgg16", {.classes = {}, .width = 8, .side = {}}); }),
            "vgg16 has no `width`: its layers are those of the published network; leave it out");
  EXPECT_EQ(error_of([] { make_architecture("resnet8", {.classes = {}, .width = 0, .side = {}}); }),
            "resnet8: expected `width` from 1 to 4096, got 0");
  EXPECT_EQ(error_of([] { make_architecture("lenet", {.classes = {}, .width = {}, .side = 7}); }),
            "lenet: expected images of at least 8 px, got 7 px");
}

TEST(Tap, NamesOfTorchvisionModulesWork) {
  const Architecture resnet = make_architecture("resnet50");
  EXPECT_EQ(resolve_tap(resnet, "layer1"), "layer1.2.relu3");
  EXPECT_EQ(resolve_tap(resnet, "layer2.0"), "layer2.0.relu3");
  EXPECT_EQ(resolve_tap(resnet, "layer2.0.downsample"), "layer2.0.downsample.1");
  EXPECT_EQ(resolve_tap(resnet, "avgpool"), "avgpool");
  EXPECT_EQ(shape_at(resnet, "layer4", 224), (Shape{2048, 7, 7}));
  EXPECT_EQ(shape_at(resnet, "avgpool", 224), (Shape{2048, 1, 1}));
  EXPECT_EQ(resnet.tap, "flatten");

  const Architecture mobilenet = make_architecture("mobilenet_v2");
  EXPECT_EQ(resolve_tap(mobilenet, "features.18"), "features.18.2");
  EXPECT_EQ(resolve_tap(mobilenet, "features.3"), "features.3.add");
  EXPECT_EQ(resolve_tap(mobilenet, "features"), "features.18.2");
  // A name is a path, not its beginning: features.1 is not features.18.
  EXPECT_EQ(resolve_tap(mobilenet, "features.1"), "features.1.conv.2");
  const Architecture vgg = make_architecture("vgg16");
  EXPECT_EQ(resolve_tap(vgg, "classifier.3"), "classifier.3");
  EXPECT_EQ(vgg.features, 4096);
  EXPECT_EQ(resolve_tap(make_architecture("efficientnet_b0"), "features.2.0"), "features.2.0.block.3.1");
}

TEST(Tap, AWrongNameIsAnsweredWithTheNearest) {
  EXPECT_EQ(error_of([] { resolve_tap(make_architecture("resnet18"), "layr3"); }),
            "resnet18 has no layer 'layr3'; did you mean 'layer3'?: expected conv1, bn1, relu, maxpool, "
            "layer1, layer2, "
            "layer3, layer4, avgpool, flatten, fc, or a part of one such as layer4.1");
  EXPECT_THAT(error_of([] { resolve_tap(make_architecture("resnet18"), ""); }), HasSubstr("has no layer ''"));
  EXPECT_THAT(error_of([] { resolve_tap(make_architecture("resnet18"), "input"); }),
              HasSubstr("has no layer 'input'"));
}

TEST(Tap, ReducedToKeepsWhatTheOutputsNeed) {
  const Architecture net = make_architecture("resnet18");
  const Architecture part = reduced_to(net, {"layer2.0", "maxpool"});
  EXPECT_EQ(part.layers.back().name, "layer2.0.relu2");
  EXPECT_NE(part.find("layer2.0.downsample.0"), nullptr);
  EXPECT_EQ(part.find("layer2.1.conv1"), nullptr);
  EXPECT_EQ(cost_of(part, 224, 224).layers.back().output, (Shape{128, 28, 28}));
}

TEST(Cost, KnowsEveryOperation) {
  const Architecture net = make_architecture("vgg11");
  EXPECT_EQ(shape_at(net, "features", 224), (Shape{512, 7, 7}));
  EXPECT_EQ(shape_at(net, "features", 300), (Shape{512, 9, 9}));
  EXPECT_EQ(shape_at(net, "avgpool", 300), (Shape{512, 7, 7}));  // so any size works
  const Architecture wide = make_architecture("resnet18");
  const Cost cost = cost_of(wide, 100, 333);
  EXPECT_EQ(cost.layers[0].output, (Shape{64, 50, 167}));
  EXPECT_EQ(cost.layers[0].multiply_adds, 64LL * 50 * 167 * 3 * 49);
  // conv1, bn1 are the largest values of ResNet-18, and both are needed while bn1 is computed.
  EXPECT_EQ(cost_of(wide, 224, 224).peak_bytes, 2 * 64 * 112 * 112 * 4);
}

TEST(Cost, ErrorsNameTheLayer) {
  EXPECT_EQ(error_of([] { cost_of(make_architecture("vgg16"), 16, 16); }),
            "vgg16: layer features.30 (MaxPool) takes at least 2 x 2 px with its padding, gets [512,1,1] "
            "from features.29 "
            "for an image of 16 x 16 px");
  EXPECT_EQ(
      error_of([] { cost_of(make_architecture("lenet"), 64, 64); }),
      "lenet: layer fc1 (Linear) takes 2048 values, gets [8192] from flatten for an image of 64 x 64 px");
  EXPECT_EQ(error_of([] { cost_of(make_architecture("resnet18"), 0, 224); }),
            "resnet18: expected images of 1 to 16384 px a side, got 224 x 0");
  Architecture broken = make_architecture("resnet18");
  for (Layer& layer : broken.layers)
    if (layer.name == "layer2.0.add") layer.from[1] = "layer1.1.relu2";
  EXPECT_EQ(error_of([&] { cost_of(broken, 224, 224); }),
            "resnet18: layer layer2.0.add (Add) takes two values of [128,28,28], gets [64,56,56] from "
            "layer1.1.relu2 for "
            "an image of 224 x 224 px");
  for (Layer& layer : broken.layers)
    if (layer.name == "layer2.0.add") layer.from[1] = "later";
  EXPECT_EQ(error_of([&] { cost_of(broken, 224, 224); }),
            "resnet18: layer layer2.0.add takes its input from 'later', which is not an earlier layer");
}

}  // namespace
}  // namespace graft::nn
