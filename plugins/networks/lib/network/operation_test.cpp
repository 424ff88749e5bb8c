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
  EXPECT_EQ(operations().back().op, Op::Tanh);
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

/// The shape of one layer's value, or the error.
std::string value_of(const Layer& layer, int height, int width) {
  Architecture net;
  net.name = "net";
  net.layers = {layer};
  try {
    return to_string(cost_of(net, height, width).layers[0].output);
  } catch (const Error& fault) {
    return fault.what();
  }
}

TEST(Operations, PaddingFollowsItsRule) {
  Layer conv{"conv", Op::Conv, {"input"}, 3, 8};
  conv.kernel = 3;
  conv.stride = 2;
  EXPECT_EQ(value_of(conv, 8, 9), "[8,3,4]");
  conv.padding_rule = PaddingRule::Same;
  EXPECT_EQ(value_of(conv, 8, 9), "[8,4,5]");
  // As TensorFlow: an even side is padded right and below only.
  EXPECT_EQ(padding_of(conv, {3, 8, 9}), (Padding{0, 1, 1, 1}));
  conv.dilation = 3;
  EXPECT_EQ(padding_of(conv, {3, 8, 9}), (Padding{2, 3, 3, 3}));
  conv.dilation = 1;
  conv.stride = 1;
  conv.padding_rule = PaddingRule::Multiple;
  conv.size = 7;
  EXPECT_EQ(padding_of(conv, {3, 8, 14}), (Padding{0, 0, 6, 0}));

  Layer pool{"pool", Op::MaxPool, {"input"}, 3, 3};
  pool.kernel = 3;
  pool.stride = 2;
  EXPECT_EQ(value_of(pool, 8, 9), "[3,3,4]");
  pool.padding_rule = PaddingRule::Ceil;
  EXPECT_EQ(value_of(pool, 8, 9), "[3,4,4]");
  // No window begins beyond the image.
  pool.kernel = pool.stride = 2;
  pool.padding = {1, 1, 1, 1};
  EXPECT_EQ(value_of(pool, 3, 4), "[3,2,3]");
  pool.padding_rule = PaddingRule::Same;
  EXPECT_EQ(
      value_of(pool, 8, 9),
      "net: layer pool (MaxPool) takes padding that is not `same`, gets [3,8,9] from input for an image of 9 "
      "x 8 px");
}

TEST(Operations, KernelsOfTwoSidesAndWithGaps) {
  Layer conv{"conv", Op::Conv, {"input"}, 3, 8};
  conv.kernel = {1, 7};
  EXPECT_EQ(value_of(conv, 8, 9), "[8,8,3]");
  EXPECT_EQ(parameters_of(conv)[0].shape, (Shape{8, 3, 1, 7}));
  EXPECT_EQ(operation(Op::Conv).detail(conv), "1x7");
  EXPECT_EQ(
      value_of(conv, 8, 6),
      "net: layer conv (Conv) takes at least 7 x 1 px with its padding, gets [3,8,6] from input for an image "
      "of 6 x 8 px");
  conv.kernel = 3;
  conv.dilation = 3;
  EXPECT_EQ(value_of(conv, 8, 9), "[8,2,3]");
  EXPECT_EQ(operation(Op::Conv).detail(conv), "3x3, dilation 3");
}

TEST(Operations, AMeanCountsWhatItsLayerCounts) {
  Layer pool{"pool", Op::WindowAvgPool, {"input"}, 1, 1};
  pool.kernel = 3;
  pool.stride = 2;
  pool.padding = {1, 1, 1, 1};
  pool.padding_rule = PaddingRule::Ceil;
  const auto divisors = [&](std::int64_t side) {
    std::vector<std::int64_t> out;
    const Shape in{1, side, side}, result = operation(Op::WindowAvgPool).output(pool, {in});
    for (const AveragedRun& run : averaged_along(pool, in, result, 1)) out.push_back(run.divisor);
    return out;
  };
  EXPECT_EQ(divisors(6), (std::vector<std::int64_t>{2, 3, 3, 1}));
  pool.count_padding = true;
  // What only completes the last window never counts.
  EXPECT_EQ(divisors(6), (std::vector<std::int64_t>{3, 3, 3, 2}));
}

TEST(Operations, ChannelsTakeTheirPlaces) {
  const auto value = [](const Layer& layer) {
    const PlainValue in{{6, 1, 1}, {0, 1, 2, 3, 4, 5}};
    PlainValue out{operation(layer.op).output(layer, {in.shape}), {}};
    out.data.resize(static_cast<std::size_t>(elements(out.shape)));
    operation(layer.op).plain({layer, {&in}, {}}, out);
    return out.data;
  };
  Layer shuffle{"shuffle", Op::ChannelShuffle, {"input"}, 6, 6};
  shuffle.groups = 2;
  EXPECT_EQ(value(shuffle), (std::vector<double>{0, 3, 1, 4, 2, 5}));
  Layer slice{"slice", Op::ChannelSlice, {"input"}, 6, 2};
  slice.first = 3;
  EXPECT_EQ(value(slice), (std::vector<double>{3, 4}));
  slice.first = 5;
  EXPECT_THROW(value(slice), WrongInput);
}

TEST(Operations, AttentionInWindows) {
  Architecture net;
  net.name = "windows";
  Layer patches{"patches", Op::Conv, {"input"}, 3, 8};
  patches.kernel = patches.stride = 4;
  Layer qkv{"qkv", Op::Conv, {"patches"}, 8, 24};
  qkv.padding_rule = PaddingRule::Multiple;
  qkv.size = 3;
  Layer windows{"windows", Op::WindowAttention, {"qkv", "patches"}, 24, 8};
  windows.heads = 2;
  windows.kernel = 3;
  windows.shift = 1;
  net.layers = {patches, qkv, windows};
  const auto error = [&](int height, int width) -> std::string {
    try {
      cost_of(net, height, width);
      return "none";
    } catch (const Error& fault) {
      return fault.what();
    }
  };
  const Cost cost = cost_of(net, 16, 20);  // 4 x 5 patches in 6 x 6
  EXPECT_EQ(cost.layers[1].output, (Shape{24, 6, 6}));
  EXPECT_EQ(cost.layers[2].output, (Shape{8, 4, 5}));
  EXPECT_EQ(cost.layers[2].parameters, 25 * 2);
  EXPECT_EQ(cost.layers[2].multiply_adds, 2 * 36 * 9 * 8);

  // Padded, then shifted; shifted, then padded.
  const std::vector<Shape> in{{24, 6, 6}, {8, 4, 5}, {8, 4, 5}};
  EXPECT_EQ(window_sides(windows, in)[0].from, (std::vector<std::int64_t>{1, 2, 3, 4, 5, 0}));
  EXPECT_EQ(window_sides(windows, in)[0].region, (std::vector<int>{0, 0, 0, 1, 1, 2}));
  windows.windows = WindowRule::Timm;
  EXPECT_EQ(window_sides(windows, in)[0].from, (std::vector<std::int64_t>{1, 2, 3, 0, 4, 5}));
  EXPECT_EQ(window_sides(windows, in)[1].from, (std::vector<std::int64_t>{1, 2, 3, 4, 0, 5}));
  // No shift along a side of one window.
  EXPECT_EQ(window_sides(windows, {{24, 3, 6}, {8, 3, 5}, {8, 3, 5}})[0].from,
            (std::vector<std::int64_t>{0, 1, 2}));

  // Two windows along a side: each has every second place.
  windows.windows = WindowRule::Grid;
  EXPECT_EQ(window_sides(windows, in)[0].from, (std::vector<std::int64_t>{0, 2, 4, 1, 3, 5}));
  EXPECT_EQ(window_sides(windows, in)[0].region, (std::vector<int>(6, 0)));

  EXPECT_EQ(error(8, 8), "none");  // smaller than a window: padded
  net.layers[2].windows = WindowRule::Timm;
  net.layers[2].from.emplace_back("patches");
  EXPECT_EQ(
      error(8, 12),
      "windows: layer windows (WindowAttention) takes images that are no smaller than a window of 3 x 3 px "
      "(timm would make a smaller window and change its biases), gets [8,2,3] from patches for an image of "
      "12 "
      "x 8 px");
  net.layers[2].heads = 3;
  EXPECT_EQ(
      error(16, 16),
      "windows: layer windows (WindowAttention) takes a width that 3 heads divide, not 8, gets [24,6,6] from "
      "patches for an image of 16 x 16 px");
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
