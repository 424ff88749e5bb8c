#include "network_facts.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <network/cost.h>

namespace graft {
namespace {

TEST(NetworkFacts, AddUpToTheCostOfTheNetwork) {
  const nn::Architecture network = nn::make_architecture("resnet18");
  const Value facts = network_facts(network, 224, 224);
  const nn::Cost cost = nn::cost_of(network, 224, 224);
  EXPECT_EQ(facts.find("parameters")->as_int(), 11'689'512);
  EXPECT_EQ(facts.find("multiply_adds")->as_int(), cost.multiply_adds);
  std::int64_t parameters = 0, multiply_adds = 0, layers = 0;
  const Value::List& parts = facts.find("parts")->as_list();
  for (const Value& part : parts) {
    parameters += part.find("parameters")->as_int();
    multiply_adds += part.find("multiply_adds")->as_int();
    layers += part.find("layers")->as_int();
  }
  EXPECT_EQ(parameters, cost.parameters);
  EXPECT_EQ(multiply_adds, cost.multiply_adds);
  EXPECT_EQ(layers, static_cast<std::int64_t>(network.layers.size()));
  EXPECT_EQ(parts[0].find("name")->as_string(), "conv1");
  const auto block = std::find_if(parts.begin(), parts.end(),
                                  [](const Value& p) { return p.find("name")->as_string() == "layer2.0"; });
  ASSERT_NE(block, parts.end());
  EXPECT_EQ(block->find("type")->as_string(), "BasicBlock");
  EXPECT_EQ(block->find("output")->as_string(), "[128,28,28]");
}

/// As a script names its layers whose class holds the network as a member.
TEST(NetworkFacts, AClassAroundTheNetworkIsNoPart) {
  const nn::Architecture network = nn::make_architecture("resnet18");
  nn::Architecture wrapped = network;
  for (nn::Layer& layer : wrapped.layers) {
    layer.name.insert(0, "backbone.");
    for (std::string& from : layer.from)
      if (from != "input") from.insert(0, "backbone.");
  }
  for (nn::Block& block : wrapped.blocks) block.name.insert(0, "backbone.");
  wrapped.blocks.insert(wrapped.blocks.begin(), {"backbone", "ResNet"});
  // A branch within a block is a part of the block.
  wrapped.blocks.push_back({"backbone.layer2.0.downsample", "Sequential"});
  const Value facts = network_facts(network, 224, 224), got = network_facts(wrapped, 224, 224);
  const Value::List& parts = facts.find("parts")->as_list();
  ASSERT_EQ(got.find("parts")->as_list().size(), parts.size());
  for (std::size_t i = 0; i < parts.size(); ++i)
    EXPECT_EQ(got.find("parts")->as_list()[i].find("name")->as_string(),
              "backbone." + parts[i].find("name")->as_string());
}

}  // namespace
}  // namespace graft
