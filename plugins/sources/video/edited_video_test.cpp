#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <opencv2/videoio/registry.hpp>

#include <graft/error.h>

#include "testing/video_fixture.h"

namespace graft::test {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

/// MP4 files that list frames which players do not show: those that were cut without encoding them again.
class EditedVideo : public Video {
 protected:
  void SetUp() override {
    if (!cv::videoio_registry::hasBackend(cv::CAP_FFMPEG)) GTEST_SKIP() << "this OpenCV has no FFmpeg";
  }
  /// What the source lists of the file: the red value in the middle of each frame. A reject fails the test.
  std::vector<int> shown(const std::string& file) {
    folder_.write("c/a.mp4", file);
    auto stage = open();
    std::vector<int> out;
    for (Entry e; stage.as<Source>().next(e);) try {
        const auto image = std::get<Image>(stage.load(e));
        out.push_back(image.row(image.height / 2)[3 * (image.width / 2)]);
      } catch (const Reject& reject) {
        ADD_FAILURE() << e.key << ": " << reject.what();
      }
    EXPECT_THAT(stage.warnings(), Not(Contains(HasSubstr("no frames for the end"))));
    return out;
  }
};

std::uint64_t number_at(const std::string& file, std::size_t at) {
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < 4; ++i) v = v << 8 | static_cast<unsigned char>(file[at + i]);
  return v;
}

void set_number(std::string& file, std::size_t at, std::uint64_t v) {
  for (std::size_t i = 0; i < 4; ++i) file[at + i] = static_cast<char>(v >> (24 - 8 * i));
}

TEST_F(EditedVideo, FramesThatTheEditListLeavesOutAreNotMissing) {
  const std::string path = write_mpeg4("c/a.mp4", 40, 10);
  if (path.empty()) GTEST_SKIP() << "this OpenCV writes no MP4 files";
  const std::string whole = slurp(path);
  const std::size_t edits = whole.find("elst"), movie = whole.find("mvhd"), media = whole.find("mdhd");
  ASSERT_NE(edits, std::string::npos);
  ASSERT_EQ(number_at(whole, edits + 8), 1u) << "edits";
  const std::uint64_t movie_scale = number_at(whole, movie + 16), scale = number_at(whole, media + 16);
  for (const int first : {0, 10}) {
    std::string trimmed = whole;
    set_number(trimmed, edits + 12, 3 * movie_scale);                                 // its duration
    set_number(trimmed, edits + 16, scale * static_cast<std::uint64_t>(first) / 10);  // its first time
    const std::vector<int> frames = shown(trimmed);
    ASSERT_EQ(frames.size(), 30u);
    for (int i = 0; i < 30; ++i) EXPECT_NEAR(frames[static_cast<std::size_t>(i)], red(first + i), 12) << i;
  }
}

TEST_F(EditedVideo, FramesBeforeTheFirstThatDecodesAreNotMissing) {
  std::string file = slurp(GRAFT_TEST_SOURCE_DIR "/plugins/sources/video/testdata/open_gop.mp4");
  const std::size_t edits = file.find("edts");
  ASSERT_NE(edits, std::string::npos);
  for (const char* name : {"edts", "free"}) {  // with an edit list, and without
    SCOPED_TRACE(name);
    file.replace(edits, 4, name);
    const std::vector<int> frames = shown(file);
    ASSERT_EQ(frames.size(), 15u);
    for (int i = 0; i < 15; ++i) EXPECT_NEAR(frames[static_cast<std::size_t>(i)], 40 + 8 * i, 3) << i;
  }
}

}  // namespace
}  // namespace graft::test
