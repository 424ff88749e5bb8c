#include <network/operation.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include <graft/error.h>

#include <network/cost.h>
#include <network/positions.h>

namespace graft::nn {
namespace {

TEST(Operations, TheTableHasEachOnceInOrder) {
  for (std::size_t i = 0; i < operations().size(); ++i)
    EXPECT_EQ(static_cast<std::size_t>(operations()[i].op), i) << operations()[i].name;
  EXPECT_EQ(operations().back().op, Op::WindowAttention);
}

TEST(Operations, TokensHaveAShapeAndACost) {
  Architecture net;
  net.name = "tokens";
  Layer patches{"patches", Op::Conv, {"input"}, 3, 8};
  patches.kernel = patches.stride = 4;
  Layer embed{"embed", Op::Embed, {"patches"}, 8, 8};
  embed.prefix = 1;
  embed.grid_height = embed.grid_width = 2;
  Layer qkv{"qkv", Op::Linear, {"embed"}, 8, 24};
  Layer attention{"attention", Op::Attention, {"qkv"}, 24, 8};
  attention.heads = 2;
  net.layers = {patches, embed, qkv, attention};
  const Cost cost = cost_of(net, 8, 12);  // 2 x 3 patches
  EXPECT_EQ(cost.layers[1].output, (Shape{7, 8}));
  EXPECT_EQ(cost.layers[1].parameters, (1 + 4) * 8);
  EXPECT_EQ(cost.layers[2].multiply_adds, 7 * 8 * 24);
  EXPECT_EQ(cost.layers[3].output, (Shape{7, 8}));
  EXPECT_EQ(cost.layers[3].multiply_adds, 2 * 7 * 7 * 8);

  net.layers[3].heads = 3;
  const auto fault = [&]() -> std::string {
    try {
      cost_of(net, 8, 12);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(
      fault(),
      "tokens: layer attention (Attention) takes a width that 3 heads divide, not 8, gets [7,24] from qkv "
      "for an image of 12 x 8 px");
}

TEST(Positions, EachOwnerResizesInItsOwnWay) {
  const std::vector<float> table{0, 1, 4, 9};  // 2 x 2, one value
  for (const PositionRule rule : {PositionRule::HuggingFace, PositionRule::Timm, PositionRule::Meta,
                                  PositionRule::OpenClip, PositionRule::Torchvision})
    EXPECT_EQ(resized_positions(table.data(), 2, 2, 1, rule, 2, 2), table);
  // The number fits, the grid does not: OpenCLIP alone takes the rows as they are.
  EXPECT_EQ(resized_positions(table.data(), 2, 2, 1, PositionRule::OpenClip, 1, 4), table);
  EXPECT_NE(resized_positions(table.data(), 2, 2, 1, PositionRule::Timm, 1, 4), table);
  // Corner to corner: corners stay.
  const auto aligned = resized_positions(table.data(), 2, 2, 1, PositionRule::Torchvision, 3, 3);
  EXPECT_FLOAT_EQ(aligned[0], 0);
  EXPECT_FLOAT_EQ(aligned[2], 1);
  EXPECT_FLOAT_EQ(aligned[4], 3.5);
  EXPECT_FLOAT_EQ(aligned[8], 9);
}

}  // namespace
}  // namespace graft::nn
