#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <graft/random.h>
#include <graft/testing/stage_harness.h>

namespace graft {
namespace {

using ::testing::ElementsAre;
using testing::StageHarness;

std::uint16_t half_of(StageHarness& stage, float value) {
  const auto row = stage.collect(StageHarness::tensor({1}, {value})).second;
  std::uint16_t bits;
  std::memcpy(&bits, row.data(), 2);
  return bits;
}

/// The value of half-precision bits, straight from the definition of the format.
double value_of(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const double magnitude =
      exponent == 0 ? std::ldexp(bits & 1023, -24) : std::ldexp(1024 + (bits & 1023), exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

std::pair<std::string, std::string> reject_of(StageHarness& stage, Payload in) {
  try {
    stage.collect(std::move(in));
  } catch (const Reject& r) {
    return {r.code(), r.what()};
  }
  return {"", "no reject"};
}

TEST(FeatureTable, FlattensAnyShapeInRowMajorOrder) {
  StageHarness stage("feature_table");
  const auto [format, row] = stage.collect(StageHarness::tensor({2, 1, 2}, {1.5f, -2.0f, 0.0f, 4.0f}));
  EXPECT_EQ(format.dtype, DType::F32);
  EXPECT_EQ(format.shape, Shape({4}));
  std::vector<float> values(4);
  ASSERT_EQ(row.size(), 16u);
  std::memcpy(values.data(), row.data(), 16);
  EXPECT_THAT(values, ElementsAre(1.5f, -2.0f, 0.0f, 4.0f));
}

TEST(FeatureTable, KeepsTheShapeWhereItIsWanted) {
  StageHarness stage("feature_table", "{rows: shaped}");
  const auto [format, row] = stage.collect(StageHarness::tensor({2, 1, 2}, {1.5f, -2.0f, 0.0f, 4.0f}));
  EXPECT_EQ(format.shape, Shape({2, 1, 2}));
  EXPECT_EQ(row.size(), 16u);
}

TEST(FeatureTable, HalvesFollowTheStandardAtItsCorners) {
  StageHarness stage("feature_table", "{dtype: f16}");
  EXPECT_EQ(stage.collect(StageHarness::tensor({3}, {1, 2, 3})).first.dtype, DType::F16);
  EXPECT_EQ(half_of(stage, 1.0f), 0x3c00);
  EXPECT_EQ(half_of(stage, -0.0f), 0x8000);
  EXPECT_EQ(half_of(stage, 65504.0f), 0x7bff);
  EXPECT_EQ(half_of(stage, 65519.0f), 0x7bff);
  EXPECT_EQ(half_of(stage, 1.0f + 0x1p-11f), 0x3c00);      // tie, to even: down
  EXPECT_EQ(half_of(stage, 1.0f + 3 * 0x1p-11f), 0x3c02);  // tie, to even: up
  EXPECT_EQ(half_of(stage, 0x1p-24f), 0x0001);             // least subnormal
  EXPECT_EQ(half_of(stage, 0x1p-25f), 0x0000);             // half of it: tie, to even
  EXPECT_EQ(half_of(stage, 0x1.000002p-25f), 0x0001);      // just above
  EXPECT_EQ(half_of(stage, 0x1.fffffep-15f), 0x0400);      // rounds up into the normal range
  EXPECT_EQ(half_of(stage, 2047.9999f), 0x6800);           // carry into the exponent
}

TEST(FeatureTable, EveryHalfComesBackAndNoneIsNearer) {
  StageHarness stage("feature_table", "{dtype: f16}");
  for (std::uint32_t bits = 0; bits < 0x7c00; ++bits)
    ASSERT_EQ(half_of(stage, static_cast<float>(value_of(static_cast<std::uint16_t>(bits)))), bits);
  Random random(1);
  for (int i = 0; i < 20000; ++i) {
    const float value =
        static_cast<float>(std::ldexp(random.uniform(-1, 1), static_cast<int>(random.below(44)) - 28));
    const std::uint16_t bits = half_of(stage, value);
    const double error = std::abs(value_of(bits) - value);
    EXPECT_LE(error, std::abs(value_of(static_cast<std::uint16_t>(bits + 1)) - value)) << value;
    if (bits & 0x7fff) {
      EXPECT_LE(error, std::abs(value_of(static_cast<std::uint16_t>(bits - 1)) - value)) << value;
    }
  }
}

TEST(FeatureTable, RejectsWhatWouldSpoilATable) {
  StageHarness stage("feature_table");
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  EXPECT_THAT(reject_of(stage, StageHarness::tensor({2, 3}, {0, 1, 2, 3, nan, 5})),
              ::testing::Pair(
                  "non-finite",
                  "feature [1,1] of [2,3] is NaN; a damaged model file or a wrong normalisation does that"));
  EXPECT_THAT(
      reject_of(stage, StageHarness::tensor({2}, {0, -inf})),
      ::testing::Pair("non-finite",
                      "feature [1] of [2] is -inf; a damaged model file or a wrong normalisation does that"));
  EXPECT_THAT(reject_of(stage, Tensor::allocate(DType::U8, {3})),
              ::testing::Pair("wrong-type", "expected a tensor of f32, got u8[3]"));
  EXPECT_THAT(reject_of(stage, StageHarness::tensor({2, 0}, {})),
              ::testing::Pair("empty", "expected at least one feature, got a tensor of shape [2,0]"));
  EXPECT_THAT(reject_of(stage, StageHarness::image(2, 2, {1, 2, 3})),
              ::testing::Pair("wrong-type", "expected tensor, got image"));

  StageHarness half("feature_table", "{dtype: f16}");
  EXPECT_THAT(
      reject_of(half, StageHarness::tensor({2}, {0, -65520})),
      ::testing::Pair("out-of-range", "feature [1] is -65520.000000, f16 ends at 65504; use dtype: f32"));
}

}  // namespace
}  // namespace graft
