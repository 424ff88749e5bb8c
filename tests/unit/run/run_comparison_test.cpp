#include "run/run_comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace graft {
namespace {

// statsmodels' mcnemar(exact=True), and the formula of Agresti and Min by hand.
TEST(PairedResult, EqualsTheTestOfMcNemar) {
  const PairedResult p{"probe", "knn", 100, 70, 4, 14};
  EXPECT_NEAR(p.difference(), 0.10, 1e-12);
  EXPECT_NEAR(p.p_value(), 0.0308837890625, 1e-12);  // 2 (1 + 18 + 153 + 816 + 3060) / 2^18
  const auto [low, high] = p.interval();
  const double middle = 10.0 / 102, width = 1.959964 * std::sqrt(19 - 100.0 / 102) / 102;
  EXPECT_NEAR(low, middle - width, 1e-12);
  EXPECT_NEAR(high, middle + width, 1e-12);
  EXPECT_THAT(
      in_words(p),
      ::testing::HasSubstr(
          "On 100 test inputs that both have scored, knn of the second run is right on 14 that probe of the "
          "first gets wrong, and wrong on 4 that it gets right: accuracy differs by +0.1000"));
}

TEST(PairedResult, IsUnsureWhereNothingDiffers) {
  const PairedResult p{"a", "b", 30, 30, 0, 0};
  EXPECT_EQ(p.difference(), 0);
  EXPECT_EQ(p.p_value(), 1);
  EXPECT_LT(p.interval().first, 0);
  EXPECT_GT(p.interval().second, 0);
  EXPECT_NEAR((PairedResult{"a", "b", 100'000, 0, 50'000, 50'000}).p_value(), 1, 1e-9);
}

}  // namespace
}  // namespace graft
