#include <gtest/gtest.h>

#include <algorithm>

#include <graft/testing/contract.h>

using graft::testing::StageHarness;

TEST(Hog, ObeysTheContract) {
  EXPECT_EQ(graft::testing::check_contract("hog"), "");
}

TEST(Hog, SeesTheDirectionOfAnEdge) {
  StageHarness hog("hog", "{side: '64'}");
  graft::Image upright = StageHarness::image(64, 64, {0, 0, 0});
  for (int y = 0; y < 64; ++y) std::fill_n(upright.row(y) + 3 * 28, 3 * 36, 255);
  const auto out = std::get<graft::Tensor>(hog.apply(upright));
  ASSERT_EQ(out.shape, (graft::Shape{7 * 7 * 4 * 9}));
  // The gradient is horizontal: it falls into the first and the last of nine directions, half each.
  double sum[9] = {};
  for (std::int64_t i = 0; i < out.size(); ++i) sum[i % 9] += static_cast<double>(out.as<float>()[i]);
  for (int bin = 1; bin < 8; ++bin) EXPECT_EQ(sum[bin], 0) << bin;
  EXPECT_GT(sum[0], 1);
}
