#include <network/engine_check.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <graft/error.h>

namespace graft::nn {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kSide = 4, kOutputs = 6;
constexpr std::size_t kOne = 3 * kSide * kSide;

/// A network: every output is another sum over the image.
void compute(const float* image, float* out) {
  for (int o = 0; o < kOutputs; ++o) {
    out[o] = 0;
    for (std::size_t i = 0; i < kOne; ++i) out[o] += image[i] * std::sin(static_cast<float>(i * 7 + o * 3));
  }
}

std::vector<Tensor> right(const float* images, int count) {
  Tensor out = Tensor::allocate(DType::F32, {count, kOutputs});
  for (int i = 0; i < count; ++i)
    compute(images + static_cast<std::size_t>(i) * kOne, out.as<float>() + i * kOutputs);
  return {out};
}

/// The network with a changed output of a batch.
RunImages broken(const std::function<void(float* values, const float* images, int count)>& change) {
  return [change](const float* images, int count) {
    std::vector<Tensor> out = right(images, count);
    change(out[0].as<float>(), images, count);
    return out;
  };
}

std::string fault(const RunImages& run, int batch, bool thorough = true, double allowed = 1e-4) {
  const EngineCheck check(right, batch, kSide, kSide, thorough);
  return check.difference(run, right, allowed).value_or("");
}

TEST(EngineCheck, NothingIsFoundInWhatIsRight) {
  for (int batch = 1; batch <= 17; ++batch)
    for (const bool thorough : {true, false}) EXPECT_EQ(fault(right, batch, thorough), "") << batch;
}

TEST(EngineCheck, AnErrorInOneValueOfOneImageIsFoundInEveryPlaceOfEveryBatch) {
  for (int batch = 1; batch <= 33; ++batch)
    for (const bool thorough : {true, false})
      for (int place = 0; place < batch; ++place)
        for (const int output : {0, kOutputs - 1}) {
          const auto run = broken([&](float* values, const float*, int count) {
            if (count == batch) values[place * kOutputs + output] += 0.01f;
          });
          EXPECT_THAT(fault(run, batch, thorough),
                      StartsWith("image " + std::to_string(place + 1) + " of a batch of " +
                                 std::to_string(batch) + " is off by 1.0e-02 of "))
              << batch << ", " << place;
        }
}

TEST(EngineCheck, SmallBatchesAndShortOnesAreLookedAt) {
  for (const int wrong : {1, 2, 3})
    for (int place = 0; place < wrong; ++place)
      EXPECT_THAT(
          fault(broken([&](float* values, const float*, int count) {
                  if (count == wrong) values[place * kOutputs] += 1;
                }),
                8),
          StartsWith("image " + std::to_string(place + 1) + " of a batch of " + std::to_string(wrong)));
  // Wrong only where zeros follow, which fill up a last batch.
  const auto short_one = broken([](float* values, const float* images, int count) {
    if (images[static_cast<std::size_t>(count) * kOne - 1] == 0) values[0] += 1;
  });
  EXPECT_THAT(fault(short_one, 8), StartsWith("image 1 of a batch of 8"));
  EXPECT_THAT(fault(short_one, 2), StartsWith("image 1 of a batch of 2"));
}

TEST(EngineCheck, ImagesThatChangePlacesAreFound) {
  for (const int batch : {2, 3, 8, 16})
    for (int distance : {1, 2, 4, 8}) {
      if (distance >= batch) continue;
      const auto run = broken([&](float* values, const float*, int count) {
        if (count != batch) return;
        for (int o = 0; o < kOutputs; ++o) std::swap(values[o], values[distance * kOutputs + o]);
      });
      EXPECT_NE(fault(run, batch), "") << batch << ", " << distance;
    }
}

TEST(EngineCheck, OneOutputOfSeveralIsEnough) {
  const RunImages two = [](const float* images, int count) {
    return std::vector<Tensor>{right(images, count)[0], right(images, count)[0]};
  };
  const EngineCheck check(two, 4, kSide, kSide, true);
  EXPECT_EQ(check.difference(two, two, 1e-4), std::nullopt);
  EXPECT_NE(check.difference(
                [&](const float* images, int count) {
                  auto out = two(images, count);
                  out[1].as<float>()[(count - 1) * kOutputs] += 1;
                  return out;
                },
                two, 1e-4),
            std::nullopt);
  EXPECT_EQ(check.difference(right, two, 1e-4), "a batch of 4 has 1 outputs instead of 2");
}

TEST(EngineCheck, WhatIsNoNumberDiffersFromANumber) {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {nan, infinity, -infinity}) {
    const auto last =
        broken([&](float* values, const float*, int count) { values[count * kOutputs - 1] = bad; });
    EXPECT_THAT(fault(last, 4), HasSubstr("is off by inf"));
    const EngineCheck same(last, 4, kSide, kSide, true);
    EXPECT_EQ(same.difference(
                  [&](const float* images, int count) {
                    auto out = right(images, count);
                    for (int i = 1; i <= count; ++i) out[0].as<float>()[i * kOutputs - 1] = bad;
                    return out;
                  },
                  right, 1e-4),
              std::nullopt);
  }
}

TEST(EngineCheck, RoundingIsAllowedUpToTheTolerance) {
  const auto scaled = [](float by) {
    return broken([by](float* values, const float*, int count) {
      for (int i = 0; i < count * kOutputs; ++i) values[i] *= by;
    });
  };
  EXPECT_EQ(fault(scaled(1 + 5e-5f), 8), "");
  EXPECT_NE(fault(scaled(1 + 2e-4f), 8), "");
  EXPECT_LT(Tolerance::of("fp32").trusted, Tolerance::of("fp32").wrong);
  EXPECT_LT(Tolerance::of("fp32").wrong, Tolerance::of("bf16").trusted);
}

TEST(EngineCheck, ABatchThatOnlyTheOtherWayTakesIsADifferenceUnlessNeitherDoes) {
  const RunImages only_eight = [](const float* images, int count) {
    if (count != 8) throw Error("takes eight");
    return right(images, count);
  };
  EXPECT_EQ(fault(only_eight, 8), "a batch of 1 fails: takes eight");
  const EngineCheck check(right, 8, kSide, kSide, true);
  EXPECT_EQ(check.difference(only_eight, only_eight, 1e-4), std::nullopt);
}

std::string dependence(const RunImages& plain, int together, const RunImages& alone = right) {
  const EngineCheck check(alone, together, kSide, kSide, true);
  return check.dependence(alone, plain, together, 1e-3).value_or("");
}

TEST(EngineCheck, NeighboursThatCountAreFoundWhateverTheBatch) {
  // As batch-norm in training mode: every value has the mean of the batch taken off.
  const RunImages normed = broken([](float* values, const float*, int count) {
    for (int o = 0; o < kOutputs; ++o) {
      float mean = 0;
      for (int i = 0; i < count; ++i) mean += values[i * kOutputs + o] / static_cast<float>(count);
      for (int i = 0; i < count; ++i) values[i * kOutputs + o] -= mean;
    }
  });
  for (const int batch : {1, 2, 3, 8}) {
    EXPECT_THAT(dependence(normed, batch, normed),
                ::testing::AllOf(
                    StartsWith("the features of an image depend on its neighbours in the batch (image 1 of "),
                    HasSubstr("call model.eval() before torch.jit.trace or torch.jit.script")));
    EXPECT_EQ(dependence(right, batch), "");
  }
  // Results that depend on the position, for example an embedding that was added along the wrong axis.
  for (const int batch : {2, 3, 8})
    for (int place = 0; place < batch; ++place)
      EXPECT_NE(dependence(broken([&](float* values, const float*, int count) {
                             if (place < count) values[place * kOutputs] += 1;
                           }),
                           batch),
                "");
}

TEST(EngineCheck, ValuesThatChangeFromCallToCallAreFound) {
  int calls = 0;
  const RunImages dropped = broken([&](float* values, const float*, int) { values[++calls % kOutputs] = 0; });
  EXPECT_THAT(dependence(dropped, 4, dropped),
              StartsWith("the features of an image change from call to call ("));
}

TEST(EngineCheck, AModelThatTakesOneImageAtATimeDependsOnNobody) {
  EXPECT_EQ(dependence(
                [](const float* images, int count) {
                  if (count > 1) throw Error("takes one");
                  return right(images, count);
                },
                1),
            "");
}

}  // namespace
}  // namespace graft::nn
