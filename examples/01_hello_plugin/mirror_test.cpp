#include <gtest/gtest.h>

#include <graft/testing/stage_harness.h>

using graft::Image;
using graft::testing::StageHarness;

TEST(Mirror, SwapsLeftAndRight) {
  StageHarness mirror("mirror");
  Image in = StageHarness::image(2, 1, {0, 0, 0});
  in.row(0)[0] = 9;  // red, on the left
  const Image out = std::get<Image>(mirror.apply(in));
  EXPECT_EQ(out.row(0)[0], 0);
  EXPECT_EQ(out.row(0)[3], 9);
}

TEST(Mirror, RefusesWhatIsNoImage) {
  StageHarness mirror("mirror");
  try {
    mirror.apply(StageHarness::bytes("text"));
    FAIL();
  } catch (const graft::Reject& e) {
    EXPECT_STREQ(e.what(), "expected image, got bytes");
  }
}
