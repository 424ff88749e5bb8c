#include <network/tokens.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/error.h>
#include <graft/testing/error_of.h>

#include <network/reference.h>

namespace graft::nn {
namespace {

/// Two blocks of tokens of width 2, which only add 1 and 2 by their biases, with a norm after them.
Architecture two_blocks() {
  Architecture net;
  net.name = "tokens";
  net.preprocessing.crop = net.preprocessing.resize = 4;
  const auto add = [&](const char* name, Op op, int in, int out, const char* from) {
    Layer layer;
    layer.name = name;
    layer.op = op;
    layer.in = in;
    layer.out = out;
    layer.from = {from};
    net.layers.push_back(layer);
  };
  add("patch", Op::Conv, 3, 2, "input");
  net.layers.back().kernel = net.layers.back().stride = 2;
  add("embed", Op::Embed, 2, 2, "patch");
  net.layers.back().prefix = 2;
  for (const char* block : {"blocks.0", "blocks.1"}) net.blocks.push_back({block, "Block"});
  add("blocks.0.fc", Op::Linear, 2, 2, "embed");
  net.layers.back().bias = true;
  add("blocks.1.fc", Op::Linear, 2, 2, "blocks.0.fc");
  net.layers.back().bias = true;
  add("norm", Op::LayerNorm, 2, 2, "blocks.1.fc");
  add("pool", Op::TokenMean, 2, 2, "norm");
  net.layers.back().count = 1;
  net.tap = "pool";
  net.features = 2;
  net.class_tokens = 1;
  return net;
}

TEST(Tokens, WhatLiesInThem) {
  const auto layout = token_layout(two_blocks(), 4, 6);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->class_tokens, 1);
  EXPECT_EQ(layout->prefix, 2);
  EXPECT_EQ(layout->rows, 2);
  EXPECT_EQ(layout->columns, 3);
  EXPECT_FALSE(token_layout(make_architecture("resnet8"), 32, 32));
  EXPECT_EQ(last_tokens(two_blocks()), "norm");
  EXPECT_EQ(last_tokens(make_architecture("resnet8")), "");
  EXPECT_EQ(last_norm(two_blocks()), "norm");
}

TEST(Tokens, AnEarlierBlockGoesThroughTheLastNorm) {
  Architecture net = two_blocks();
  std::map<std::string, Tensor> weights;
  weights["norm.weight"] = Tensor::allocate(DType::F32, {2});
  weights["norm.bias"] = Tensor::allocate(DType::F32, {2});
  EXPECT_EQ(add_last_norm(net, "blocks.1.fc", &weights), "norm");
  EXPECT_EQ(add_last_norm(net, "blocks.0.fc", &weights), "normed.blocks.0.fc");
  EXPECT_EQ(net.layers.back().from[0], "blocks.0.fc");
  EXPECT_EQ(net.layers.back().eps, net.find("norm")->eps);
  EXPECT_EQ(weights.count("normed.blocks.0.fc.weight"), 1u);
  EXPECT_EQ(resolve_tap(net, "blocks.0"), "blocks.0.fc");
  Architecture other = make_architecture("resnet8");
  EXPECT_EQ(testing::error_of([&] { add_last_norm(other, "layer1.0", nullptr); }),
            "resnet8 has no norm after its last block, so its blocks are taken as they are");
}

}  // namespace
}  // namespace graft::nn
