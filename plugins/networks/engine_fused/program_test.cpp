// What a program holds in memory, and what programs of one network share.

#include <gtest/gtest.h>

#include <cstring>
#include <string_view>

#include "lowering.h"
#include "program.h"
#include "testing/random_engine.h"

namespace graft::fused {
namespace {

using nn::Architecture;

TEST(Program, WeightsThatArePackedForOneSizeServeAllOthers) {
  // Small maps have direct kernels, large ones Winograd's: neither finds the weights as they were in the
  // file.
  const Architecture net = nn::make_architecture("resnet18");
  for (const char* precision : {"fp32", "bf16"}) {
    if (std::string_view(precision) == "bf16" && !has_avx512()) continue;
    const FusedEngine one = engine(net, 2, {}, precision);
    for (const int side : {40, 112, 33, 64}) {
      const auto images = noise(2, side, side, 5);
      const Tensor got = one.run(images.data(), side, side)[0];
      const Tensor wanted = engine(net, 2, {}, precision).run(images.data(), side, side)[0];
      EXPECT_EQ(std::memcmp(got.data, wanted.data, got.bytes()), 0) << side << ' ' << precision;
    }
  }
}

TEST(Program, TheSameNetworkForMoreThreadsGivesTheSameBits) {
  const Architecture net = nn::make_architecture("resnet18");
  const FusedEngine one = engine(net, 2);
  const auto images = noise(2, 64, 64, 5);
  const Tensor wanted = one.run(images.data(), 64, 64)[0];
  const Tensor got = one.with_threads(2)->run(images.data(), 64, 64)[0];
  EXPECT_EQ(std::memcmp(got.data, wanted.data, got.bytes()), 0);
}

TEST(Program, WeightsAreInMemoryOnce) {
  const Architecture net = nn::make_architecture("mobilenet_v2");
  const auto weights = weights_of(net);
  const Lowered lowered = lower(net, weights, {net.tap});
  PackedNetwork network(nn::reduced_to(net, {net.tap}), lowered, false);
  const Program program(network, 1, 96, 96, 1);
  for (std::size_t i = 0; i < lowered.steps.size(); ++i) {
    const Step& step = network.lowered().steps[i];
    EXPECT_EQ(step.weights.size(), lowered.steps[i].weights.size());
    EXPECT_EQ(step.weights.data(), nullptr) << step.layer.name;
  }
}

TEST(Program, WeightsThatNothingIsFoldedIntoAreTheModels) {
  const Architecture net = nn::make_architecture("vgg11");
  const auto weights = weights_of(net);
  for (const Step& step : lower(net, weights, {"features.0", "features.3"}).steps)
    if (step.op == Step::Op::Conv) {
      EXPECT_EQ(step.weights.data(), weights.at(step.layer.name + ".weight").data) << step.layer.name;
    }
}

TEST(Program, ValuesThatAreNotAliveTogetherShareMemory) {
  const Architecture net = nn::make_architecture("resnet18");
  PackedNetwork network(nn::reduced_to(net, {net.tap}), lower(net, weights_of(net), {net.tap}), false);
  const Program program(network, 1, 224, 224, 1);
  // conv1 makes 3.2 MB, max-pooling 0.8 MB from it; all values together have 17 MB.
  EXPECT_LE(program.arena_bytes(), std::size_t{4'100'000});
}

}  // namespace
}  // namespace graft::fused
