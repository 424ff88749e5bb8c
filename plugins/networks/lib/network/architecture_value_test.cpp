#include <network/architecture_value.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/error.h>

#include <network/cost.h>

namespace graft::nn {
namespace {

TEST(ArchitectureValue, EveryNetworkComesBack) {
  for (const std::string& name : architecture_names()) {
    const Architecture net = make_architecture(name);
    const Value value = to_value(net);
    const Architecture back = architecture_from(Value::from_json(value.to_json()));
    EXPECT_EQ(to_value(back), value) << name;
    const int side = net.preprocessing.crop;
    const Cost wanted = cost_of(net, side, side), got = cost_of(back, side, side);
    EXPECT_EQ(got.multiply_adds, wanted.multiply_adds) << name;
    EXPECT_EQ(got.parameters, wanted.parameters) << name;
    EXPECT_EQ(got.layers.back().output, wanted.layers.back().output) << name;
  }
}

TEST(ArchitectureValue, EveryFieldOfALayerComesBack) {
  Architecture net;
  net.name = "net";
  Layer layer{"a", Op::WindowAttention, {"input", "input"}, 3, 6};
  layer.kernel = {1, 7};
  layer.dilation = 2;
  layer.shift = 3;
  layer.size = 4;
  layer.padding = {1, 2, 3, 4};
  layer.padding_rule = PaddingRule::Multiple;
  layer.count_padding = true;
  layer.windows = WindowRule::Timm;
  net.layers = {layer};
  net.only = Extent(5, 6);
  const Value value = to_value(net);
  EXPECT_EQ(architecture_from(value).only, Extent(5, 6));
  const Layer back = architecture_from(Value::from_json(value.to_json())).layers[0];
  EXPECT_EQ(back.kernel, layer.kernel);
  EXPECT_EQ(back.dilation, 2);
  EXPECT_EQ(back.shift, 3);
  EXPECT_EQ(back.padding, layer.padding);
  EXPECT_EQ(back.padding_rule, PaddingRule::Multiple);
  EXPECT_TRUE(back.count_padding);
  EXPECT_EQ(back.windows, WindowRule::Timm);
  EXPECT_EQ(to_value(architecture_from(value)), value);
}

TEST(ArchitectureValue, WhatCannotBeIsNamed) {
  const auto fault = [](const char* json) -> std::string {
    try {
      architecture_from(Value::from_json(json));
    } catch (const Error& e) {
      return e.what();
    }
    return "ok";
  };
  EXPECT_EQ(fault("{}"), "a network without `name`: it was damaged, or written by another version");
  EXPECT_EQ(fault(R"({"name": "x", "layers": []})"), "a network without layers: it was damaged");
  EXPECT_EQ(fault(R"({"name": "x", "layers": [{"name": "a", "op": "Warp", "from": ["input"]}]})"),
            "a network with a layer 'Warp', which does not exist: it was written by a newer version");
  EXPECT_EQ(
      fault(R"({"name": "x", "layers": [{"name": "a", "op": "Conv", "from": ["input"], "stride": 0}]})"),
      "a network with a layer whose `stride` is 0: expected 1 to 16384");
  EXPECT_EQ(
      fault(R"({"name": "x", "layers": [{"name": "a", "op": "Conv", "from": [], "kernel": [1, 2, 3]}]})"),
      "a network with a layer whose `kernel` has not two sides");
  EXPECT_EQ(fault(R"({"name": "x", "layers": [{"name": "a", "op": "Conv", "from": [], "kernel": [1, 0]}]})"),
            "a network with a layer whose `kernel` is 0: expected 1 to 16384");
  EXPECT_EQ(
      fault(
          R"({"name": "x", "layers": [{"name": "a", "op": "Conv", "from": [], "padding_rule": "mirror"}]})"),
      "a network with padding by the rule 'mirror', which does not exist: it was written by a newer version");
  EXPECT_EQ(fault(R"({"name": "x", "layers": [{"name": "a", "op": "Relu", "from": []}], "only": 3})"),
            "a network whose `only` is no size of images: it was damaged");
}

}  // namespace
}  // namespace graft::nn
