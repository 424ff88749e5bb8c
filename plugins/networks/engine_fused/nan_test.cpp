// Values that are not finite: what kernels may not make numbers of.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <graft/error.h>
#include <network/reference.h>
#include <network/testing/small_networks.h>

#include "lowering.h"
#include "program.h"
#include "testing/random_engine.h"

namespace graft::fused {
namespace {

using nn::Architecture;
using nn::Layer;
using nn::Op;
using nn::test::conv;
using nn::test::layer;

constexpr int kSide = 16;

/// Which values are NaN, and the others within rounding, of the second of two images.
void expect_what_loops_give(const Architecture& net, std::map<std::string, Tensor> weights) {
  const auto images = noise(2, kSide, kSide, 3);
  const std::vector<float> image(images.begin() + static_cast<std::ptrdiff_t>(images.size() / 2),
                                 images.end());
  const auto wanted = nn::reference(net, weights, image, kSide, kSide, {net.tap})[0].data;
  ASSERT_TRUE(std::any_of(wanted.begin(), wanted.end(), [](double v) { return std::isnan(v); }));
  const Tensor got = engine_with(net, std::move(weights), 2).run(images.data(), kSide, kSide)[0];
  ASSERT_EQ(got.size(), static_cast<std::int64_t>(2 * wanted.size()));
  double scale = 0;
  for (const double v : wanted)
    if (!std::isnan(v)) scale = std::max(scale, std::fabs(v));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto value = static_cast<double>(got.as<float>()[wanted.size() + i]);
    ASSERT_EQ(std::isnan(value), std::isnan(wanted[i])) << "value " << i;
    if (!std::isnan(value)) {
      ASSERT_NEAR(value, wanted[i], 1e-5 * scale) << "value " << i;
    }
  }
}

/// An activation on a convolution, on a sum and alone, a pool, and one on a matrix; `a` has a NaN.
class EveryActivation : public ::testing::TestWithParam<Op> {};

TEST_P(EveryActivation, KeepsNanWhereverItRides) {
  const Op op = GetParam();
  const auto weights_with_nan = [](const Architecture& net) {
    auto weights = weights_of(net);
    weights.at("a.bias").as<float>()[5] = NAN;
    return weights;
  };
  Architecture net;
  net.name = "activated";
  net.layers = {conv("a", "input", 3, 20), layer("on_conv", op, {"a"}, 20, 20)};
  net.layers[0].bias = true;
  net.tap = "on_conv";
  expect_what_loops_give(net, weights_with_nan(net));

  net.layers = {conv("a", "input", 3, 20), layer("pool", Op::MaxPool, {"a"}, 20, 20),
                layer("alone", op, {"pool"}, 20, 20)};
  net.layers[0].bias = true;
  net.layers[1].kernel = 3;
  net.layers[1].stride = 2;
  net.layers[1].padding = {1, 1, 1, 1};
  net.tap = "alone";
  expect_what_loops_give(net, weights_with_nan(net));

  net.layers = {conv("a", "input", 3, 20), layer("twice", Op::Add, {"a", "a"}, 20, 20),
                layer("on_sum", op, {"twice"}, 20, 20)};
  net.layers[0].bias = true;
  net.tap = "on_sum";
  expect_what_loops_give(net, weights_with_nan(net));

  net.layers = {conv("b", "input", 3, 20), layer("pool", Op::GlobalPool, {"b"}, 20, 20),
                layer("flat", Op::Flatten, {"pool"}, 20, 20), layer("a", Op::Linear, {"flat"}, 20, 8),
                layer("on_matrix", op, {"a"}, 8, 8)};
  net.layers[3].bias = true;
  net.tap = "on_matrix";
  expect_what_loops_give(net, weights_with_nan(net));
}

INSTANTIATE_TEST_SUITE_P(Nan, EveryActivation,
                         ::testing::Values(Op::Relu, Op::Relu6, Op::Silu, Op::Sigmoid, Op::Gelu, Op::GeluTanh,
                                           Op::QuickGelu, Op::HardSigmoid, Op::HardSwish, Op::Tanh),
                         [](const auto& test) { return nn::to_string(test.param); });

TEST(Nan, AttentionKeepsIt) {
  const Architecture net = nn::test::windowed(nn::WindowRule::Timm);
  auto weights = weights_of(net);
  weights.at("a_qkv.bias").as<float>()[1] = NAN;  // of one head's queries
  expect_what_loops_give(net, std::move(weights));
}

/// A residual network whose first layer's values overflow where an image is not dark.
struct Overflowing {
  Architecture net = nn::make_architecture("resnet8", {.classes = 10, .width = {}, .side = {}});
  std::map<std::string, Tensor> weights = weights_of(net);
  Overflowing() {
    Tensor& first = weights.at("conv1.weight");
    for (std::int64_t i = 0; i < first.size(); ++i) first.as<float>()[i] *= 1e38f;
  }
};

TEST(Nan, AnOverflowIsSeenAndDoesNotReachTheNeighbours) {
  constexpr int kImages = 5;
  const Overflowing model;
  auto images = noise(kImages, kSide, kSide, 3);
  const std::size_t one = images.size() / kImages;
  for (float& v : images) v *= 1e-9f;
  const Tensor alone = engine_with(model.net, model.weights, kImages).run(images.data(), kSide, kSide)[0];
  const std::size_t n = static_cast<std::size_t>(alone.size()) / kImages;
  ASSERT_TRUE(std::all_of(alone.as<float>(), alone.as<float>() + alone.size(),
                          [](float v) { return std::isfinite(v); }));
  for (std::size_t i = 0; i < one; ++i) images[2 * one + i] *= 1e10f;
  for (const int threads : {1, 2, 3})
    for (const char* precision : {"fp32", "bf16"}) {
      const bool bf16 = std::string_view(precision) == "bf16";
      if (bf16 && !has_avx512()) continue;
      const FusedEngine engine = engine_with(model.net, model.weights, kImages, {}, precision, threads);
      for (const Tensor& got : {engine.run(images.data(), kSide, kSide)[0],
                                engine.run_plainly(images.data(), kImages, kSide, kSide)[0]}) {
        const float* const values = got.as<float>();
        EXPECT_FALSE(std::all_of(values + 2 * n, values + 3 * n, [](float v) { return std::isfinite(v); }))
            << threads << ' ' << precision;
        for (const std::size_t i : {0, 1, 3, 4}) {
          EXPECT_TRUE(
              std::all_of(values + i * n, values + (i + 1) * n, [](float v) { return std::isfinite(v); }));
          if (!bf16) {
            EXPECT_EQ(std::memcmp(values + i * n, alone.as<float>() + i * n, n * sizeof(float)), 0);
          }
        }
      }
    }
}

TEST(Nan, OfANegativeVarianceIsNotFoldedIn) {
  const Architecture net = nn::make_architecture("resnet8");
  auto weights = weights_of(net);
  weights.at("layer1.0.bn1.running_var").as<float>()[3] = -1;
  EXPECT_THAT(
      [&] { engine_with(net, weights, 1); },
      ::testing::ThrowsMessage<Error>(
          "layer layer1.0.bn1: channel 3 is not finite once it is folded into the weights of layer1.0.conv1: "
          "the model's file is damaged, or its training diverged; use another checkpoint"));
}

class EverySoundNetwork : public ::testing::TestWithParam<std::string> {};

TEST_P(EverySoundNetwork, IsNotComputedTwice) {
  nn::Options options;
  options.classes = 10;
  if (GetParam() == "lenet") options.side = 36;
  Architecture net = nn::make_architecture(GetParam(), options);
  // The matrices of a VGG have a hundred million weights, which take their time.
  if (GetParam().starts_with("vgg")) net = nn::reduced_to(net, {net.tap = nn::resolve_tap(net, "features")});
  const auto weights = weights_of(net);
  const auto images = noise(2, 36, 36, 3);
  for (const bool bf16 : {false, true}) {
    if (bf16 && !has_avx512()) continue;
    PackedNetwork network(nn::reduced_to(net, {net.tap}), lower(net, weights, {net.tap}), bf16);
    const Program program(network, 2, 36, 36, 2);
    std::vector<Tensor> out;
    std::vector<float*> at;
    for (const Shape& shape : program.output_shapes())
      at.push_back(out.emplace_back(Tensor::allocate(DType::F32, shape)).as<float>());
    EXPECT_FALSE(program.run(images.data(), at)) << (bf16 ? "bf16" : "fp32");
    EXPECT_FALSE(program.run(images.data(), at)) << "in used memory";
  }
}

INSTANTIATE_TEST_SUITE_P(Nan, EverySoundNetwork, ::testing::ValuesIn(nn::architecture_names()));

}  // namespace
}  // namespace graft::fused
