#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include <graft/testing/stage_harness.h>

namespace graft {
namespace {

using testing::StageHarness;

TEST(PixelTable, KeepsPixelsAndTheirShape) {
  StageHarness stage("pixel_table");
  const auto [format, row] = stage.collect(StageHarness::image(2, 1, {7, 8, 9}));
  EXPECT_EQ(format.dtype, DType::U8);
  EXPECT_EQ(format.shape, Shape({1, 2, 3}));
  EXPECT_THAT(row, ::testing::ElementsAre(7, 8, 9, 7, 8, 9));
}

TEST(PixelTable, LeavesOutTheGapsBetweenRows) {
  auto pixels =
      std::make_shared<std::vector<std::uint8_t>>(std::vector<std::uint8_t>{1, 2, 3, 99, 4, 5, 6, 99});
  Image image;
  image.data = pixels->data();
  image.owner = std::shared_ptr<void>(pixels, pixels->data());
  image.width = 1;
  image.height = 2;
  image.stride = 4;
  EXPECT_THAT(StageHarness("pixel_table").collect(image).second, ::testing::ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(PixelTable, RejectsWhatIsNoImage) {
  StageHarness stage("pixel_table");
  try {
    stage.collect(Image{});
    FAIL();
  } catch (const Reject& r) {
    EXPECT_EQ(r.code(), "empty");
    EXPECT_STREQ(r.what(), "expected an image with pixels, got 0 x 0");
  }
  try {
    stage.collect(StageHarness::tensor({1}, {0}));
    FAIL();
  } catch (const Reject& r) {
    EXPECT_EQ(r.code(), "wrong-type");
    EXPECT_STREQ(r.what(), "expected image, got tensor");
  }
}

}  // namespace
}  // namespace graft
