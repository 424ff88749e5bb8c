#include <gtest/gtest.h>

#include <set>

#include <graft/random.h>

namespace graft {
namespace {

TEST(Random, IsTheSameEverywhere) {
  // SplitMix64 from seed 1234567: the reference values of Vigna's splitmix64.c.
  Random random(1234567);
  EXPECT_EQ(random.next(), 6457827717110365317U);
  EXPECT_EQ(random.next(), 3203168211198807973U);
  EXPECT_EQ(random.next(), 9817491932198370423U);
}

TEST(Random, ViewsOfAnItemHaveNoNumberInCommon) {
  std::set<std::uint64_t> seen;
  for (std::uint32_t view = 0; view < 200; ++view) {
    Random random(42, "image.jpg", view);
    for (int i = 0; i < 500; ++i) EXPECT_TRUE(seen.insert(random.next()).second) << view << " " << i;
  }
}

TEST(Random, DrawsWithinItsRange) {
  Random random(9);
  double sum = 0, square = 0;
  for (int i = 0; i < 100000; ++i) {
    EXPECT_LT(random.below(7), 7u);
    const double z = random.normal();
    sum += z;
    square += z * z;
  }
  EXPECT_NEAR(sum / 1e5, 0, 0.02);
  EXPECT_NEAR(square / 1e5, 1, 0.02);
}

}  // namespace
}  // namespace graft
