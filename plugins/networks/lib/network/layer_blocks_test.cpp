#include <network/layer_blocks.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/error.h>

namespace graft::nn {
namespace {

using ::testing::ElementsAre;

Architecture backbone(const std::string& name) {
  const Architecture net = make_architecture(name);
  return reduced_to(net, {net.tap});
}

std::vector<std::string> names_of(const Architecture& net) {
  std::vector<std::string> out;
  for (const LayerBlock& block : blocks_of(net)) out.push_back(block.name);
  return out;
}

/// What is left of a network when nobody tells its blocks, as of one that was read from TorchScript.
Architecture anonymous(const std::string& name) {
  Architecture net = backbone(name);
  net.blocks.clear();
  return net;
}

TEST(LayerBlocks, CoverEveryNetworkAndAreEnteredAtOnePlace) {
  for (const std::string& name : architecture_names())
    for (const Architecture& net : {backbone(name), anonymous(name)}) {
      std::size_t at = 0;
      for (const LayerBlock& block : blocks_of(net)) {
        EXPECT_EQ(block.first, at) << name << " " << block.name;
        EXPECT_TRUE(value_before(net, block.first)) << name << " " << block.name;
        at = block.last;
      }
      EXPECT_EQ(at, net.layers.size()) << name;
    }
}

TEST(LayerBlocks, AreThoseThatPeopleKnow) {
  EXPECT_THAT(names_of(backbone("resnet18")),
              ElementsAre("conv1", "layer1.0", "layer1.1", "layer2.0", "layer2.1", "layer3.0", "layer3.1",
                          "layer4.0", "layer4.1"));
  EXPECT_THAT(names_of(backbone("resnet8")), ElementsAre("conv1", "layer1.0", "layer2.0", "layer3.0"));
  EXPECT_THAT(names_of(backbone("vgg11")),
              ElementsAre("features.0", "features.3", "features.6", "features.11", "features.16",
                          "classifier.0", "classifier.3"));
  EXPECT_THAT(names_of(backbone("lenet")), ElementsAre("conv1", "conv2", "fc1"));
  EXPECT_EQ(names_of(backbone("mobilenet_v1_075")).size(), 14u);
  EXPECT_EQ(names_of(backbone("mobilenet_v2")).size(), 19u);
  EXPECT_EQ(names_of(backbone("efficientnet_b0")).size(), 18u);
}

TEST(LayerBlocks, AreFoundWithoutTheirNames) {
  for (const char* name : {"resnet18", "resnet50", "resnet20", "mobilenet_v1_075", "vgg16", "lenet"}) {
    const auto named = blocks_of(backbone(name)), found = blocks_of(anonymous(name));
    ASSERT_EQ(found.size(), named.size()) << name;
    for (std::size_t b = 0; b < found.size(); ++b) {
      EXPECT_EQ(found[b].first, named[b].first) << name << " " << named[b].name;
      EXPECT_EQ(found[b].last, named[b].last) << name << " " << named[b].name;
    }
  }
  // The scale of squeeze-and-excitation belongs to the convolutions that it scales.
  EXPECT_EQ(names_of(anonymous("mobilenet_v2")).size(), 19u);
  EXPECT_EQ(names_of(anonymous("efficientnet_b0")).size(), 18u);
}

TEST(LayerBlocks, ANameStandsForAllThatBeginWithIt) {
  const Architecture net = backbone("resnet18");
  const auto blocks = blocks_of(net);
  EXPECT_THAT(blocks_named(net, blocks, "layer4"), ElementsAre(7, 8));
  EXPECT_THAT(blocks_named(net, blocks, "layer4.1"), ElementsAre(8));
  EXPECT_THAT(blocks_named(net, blocks, "bn1"), ElementsAre(0));  // a layer means its block
  try {
    blocks_named(net, blocks, "layer5");
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(),
                 "resnet18 has no block 'layer5' (blocks: conv1, layer1.0, layer1.1, layer2.0, layer2.1, "
                 "layer3.0, layer3.1, layer4.0, layer4.1)");
  }
}

TEST(LayerBlocks, AValueBeforeIsTheOnlyOne) {
  const Architecture net = backbone("resnet18");
  const auto blocks = blocks_of(net);
  EXPECT_EQ(value_before(net, 0), "input");
  EXPECT_EQ(value_before(net, blocks[7].first), "layer3.1.relu2");
  EXPECT_EQ(value_before(net, blocks[7].first + 1), std::nullopt);  // the branch and the skip
}

}  // namespace
}  // namespace graft::nn
