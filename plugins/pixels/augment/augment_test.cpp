#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/random.h>
#include <graft/testing/stage_harness.h>

#include <image/geometry.h>
#include <image/testing/fixtures.h>
#include <preview/preview_mark.h>

namespace graft {
namespace {

using image::fixtures::difference;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::StageHarness;

Image noise(int width, int height, std::uint64_t seed = 1) {
  Random random(seed);
  Image image = Image::allocate(width, height);
  for (std::size_t i = 0; i < image.bytes(); ++i)
    image.data[i] = static_cast<std::uint8_t>(random.below(256));
  return image;
}

Image apply(StageHarness& stage, const Image& in, const std::string& key = "item", std::uint32_t view = 0) {
  return std::get<Image>(stage.apply(in, key, view));
}

std::string fault(const std::string& params) {
  try {
    StageHarness stage("augment", params);
    return "ok";
  } catch (const Error& e) {
    return e.what();
  }
}

const std::string kCropAndColour =
    "{views: 3, operations: [{random_resized_crop: {size: 20}}, flip, {color_jitter: {brightness: 0.4}}]}";

TEST(Augment, MakesViewsFromSeedKeyAndView) {
  StageHarness a("augment", kCropAndColour, 7), other_seed("augment", kCropAndColour, 8);
  const Image in = noise(40, 30), copy = noise(40, 30);
  const Image first = apply(a, in, "x", 0);
  EXPECT_EQ(first.width, 20);
  EXPECT_EQ(difference(apply(a, in, "x", 0), first), "");
  EXPECT_NE(difference(apply(a, in, "x", 1), first), "");
  EXPECT_NE(difference(apply(a, in, "y", 0), first), "");
  EXPECT_NE(difference(apply(other_seed, in, "x", 0), first), "");
  EXPECT_EQ(difference(in, copy), "");
  EXPECT_EQ(a.as<Transform>().views(), 3u);
  EXPECT_EQ(a.schema().views.param, "views");
  EXPECT_TRUE(a.schema().output_depends_on_key);
  EXPECT_TRUE(a.schema().output_depends_on_seed);
}

TEST(Augment, FlipsWhenNothingElseIsSaid) {
  StageHarness stage("augment");
  const Image in = noise(9, 5), mirror = image::mirrored(in);
  int flipped = 0;
  for (int i = 0; i < 1000; ++i) {
    const Image out = apply(stage, in, std::to_string(i));
    const bool same = difference(out, in).empty();
    EXPECT_EQ(difference(out, same ? in : mirror), "");
    flipped += same ? 0 : 1;
  }
  EXPECT_NEAR(flipped, 500, 64);  // four standard deviations
}

TEST(Augment, ChecksItsParameters) {
  EXPECT_EQ(fault("{operations: [flip, {random_resized_crop: {scale: [0.9, 0.5]}}]}"),
            "operations.1.random_resized_crop.scale: expected [low, high], got [0.9, 0.5]; exchange the two");
  EXPECT_EQ(fault("{operations: [{flip: {p: 2}}]}"),
            "operations.0.flip.p: 2 is out of range: expected from 0 to 1");
  EXPECT_THAT(fault("{operations: [{flop: {}}]}"), HasSubstr("did you mean 'flip'?"));
  EXPECT_THAT(fault("{views: 0}"), HasSubstr("views: 0 is out of range"));
  // A parameter of version 1.
  EXPECT_EQ(fault("{flip: 0.5}"), "flip: unknown parameter 'flip' (allowed: operations, preview, views)");
}

class PreviewTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "graft-preview-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string params(const std::string& operations = "[flip]") const {
    return "{views: 3, preview: '" + folder_ + "/a/b', operations: " + operations + "}";
  }
  std::string written() const {
    std::ifstream in(folder_ + "/a/b/stage.png", std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }
  // What the stage wrote for 30 items of 3 views each, in the order of `turn` times the position.
  std::string sheet(int threads, std::size_t turn) {
    StageHarness stage("augment", params());
    testing::Threads(threads).for_each(90, [&](std::size_t i) {
      const std::size_t at = i * turn % 90;
      Item item;
      auto entry = std::make_shared<Entry>();
      entry->key = "folder/item " + std::to_string(at / 3);
      item.entry = entry;
      item.view = static_cast<std::uint32_t>(at % 3);
      item.payload = noise(30 + static_cast<int>(at / 3), 20, at / 3);
      stage.as<Transform>().apply(item);
    });
    stage.as<Transform>().finish();
    return written();
  }

  std::string folder_;
};

TEST_F(PreviewTest, IsTheSameForAnyNumberOfThreadsAndAnyOrder) {
  const std::string one = sheet(1, 1);
  ASSERT_FALSE(one.empty());
  EXPECT_EQ(sheet(8, 1), one);
  EXPECT_EQ(sheet(1, 7), one);
  EXPECT_EQ(sheet(1, 89), one);  // backwards
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/a/b"))
    files.push_back(entry.path().filename());
  EXPECT_THAT(files, ElementsAre("stage.png"));
}

TEST_F(PreviewTest, ShowsTheInputAndItsViews) {
  StageHarness stage("augment", params("[{flip: {p: 1}}]"));
  const Image in = noise(80, 40);
  for (std::uint32_t view = 0; view < 2; ++view) apply(stage, in, "caf\xc3\xa9\n", view);
  stage.as<Transform>().finish();
  const cv::Mat sheet = cv::imread(folder_ + "/a/b/stage.png");
  ASSERT_EQ(sheet.cols, 6 + 3 * 166);
  ASSERT_EQ(sheet.rows, 22 + 80 + 22);
  const auto rgb = [&](int x, int y) {
    const auto& p = sheet.at<cv::Vec3b>(y, x);
    return std::vector<int>{p[2], p[1], p[0]};
  };
  // Twice the size, 19 px from the top.
  const auto wanted = [&](int x, int y) {
    const std::uint8_t* p = in.row(y) + 3 * x;
    return std::vector<int>{p[0], p[1], p[2]};
  };
  EXPECT_EQ(rgb(6, 19), wanted(0, 0));
  EXPECT_EQ(rgb(6 + 159, 19 + 79), wanted(79, 39));
  EXPECT_EQ(rgb(172, 19), wanted(79, 0));
  EXPECT_EQ(rgb(338, 19), wanted(79, 0));
}

TEST_F(PreviewTest, SaysThatItIsOne) {
  const std::string png = sheet(1, 1), mark(preview::kPreviewMark);
  EXPECT_EQ(png.substr(preview::kPreviewMarkAt, mark.size()), mark);
  const std::string chunk = mark.substr(4, mark.size() - 8);
  std::uint32_t crc = 0xffffffff, length = 0, given = 0;
  for (const char c : chunk) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
  }
  for (std::size_t i = 0; i < 4; ++i) {
    length = length << 8 | static_cast<unsigned char>(mark[i]);
    given = given << 8 | static_cast<unsigned char>(mark[mark.size() - 4 + i]);
  }
  EXPECT_EQ(length, chunk.size() - 4);
  EXPECT_EQ(given, ~crc);
}

TEST_F(PreviewTest, BoundsLargeAndLongPictures) {
  StageHarness stage("augment", params("[]"));
  apply(stage, noise(1000, 500), std::string(500, 'k'));
  apply(stage, noise(3, 2000), "tall");
  stage.as<Transform>().finish();
  const cv::Mat sheet = cv::imread(folder_ + "/a/b/stage.png");
  EXPECT_EQ(sheet.cols, 6 + 2 * 166);
  EXPECT_EQ(sheet.rows, 22 + (80 + 22) + (160 + 22));
}

TEST_F(PreviewTest, WarnsWhenNothingPassed) {
  StageHarness stage("augment", params());
  stage.as<Transform>().finish();
  EXPECT_THAT(stage.warnings(), ElementsAre("preview: " + folder_ +
                                            "/a/b/stage.png is not written, for no image passed in this run: "
                                            "rows that are stored are not made again"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/a/b/stage.png"));
}

TEST_F(PreviewTest, SaysWhichFolderCannotBeMade) {
  std::ofstream(folder_ + "/a") << "a file";
  EXPECT_EQ(fault(params()), "preview: the folder " + folder_ + "/a/b cannot be made: Not a directory");
}

TEST_F(PreviewTest, WritesNothingWithoutBeingAsked) {
  StageHarness stage("augment");
  apply(stage, noise(4, 4));
  stage.as<Transform>().finish();
  EXPECT_THAT(stage.warnings(), ElementsAre());
}

}  // namespace
}  // namespace graft
