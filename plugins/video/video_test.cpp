#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>

#include <graft/error.h>
#include <graft/testing/stage_harness.h>

#include "temp_folder.h"

namespace graft {
namespace {

using test::TempFolder;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::StageHarness;

/// Colour of frame i: told apart after JPEG compression.
std::uint8_t red(int i) {
  return static_cast<std::uint8_t>(20 + 20 * (i % 10));
}
std::uint8_t green(int i) {
  return static_cast<std::uint8_t>(20 + 20 * (i / 10 % 10));
}

class Video : public ::testing::Test {
 protected:
  /// An AVI of Motion JPEG, which OpenCV writes and reads without help.
  std::string write(const std::string& name, int frames, double rate = 10) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    const std::string path = (folder_ / name).string();
    cv::VideoWriter out(path, cv::CAP_OPENCV_MJPEG, cv::VideoWriter::fourcc('M', 'J', 'P', 'G'), rate,
                        {48, 32});
    EXPECT_TRUE(out.isOpened());
    for (int i = 0; i < frames; ++i) out.write(cv::Mat(32, 48, CV_8UC3, cv::Scalar(200, green(i), red(i))));
    return path;
  }
  std::string root() const { return folder_.path().string(); }
  StageHarness open(const std::string& more = "") {
    return StageHarness("video", "{root: \"" + root() + "\"" + (more.empty() ? "" : ", " + more) + "}");
  }
  std::string fault(const std::string& more = "") {
    try {
      open(more);
      return "ok";
    } catch (const Error& e) {
      std::string text = e.what();
      for (std::size_t at; (at = text.find(root())) != std::string::npos;)
        text.replace(at, root().size(), "ROOT");
      return text;
    }
  }
  std::vector<std::string> keys(const std::string& more) {
    std::vector<std::string> out;
    auto stage = open(more);
    for (const Entry& e : stage.list()) out.push_back(e.key);
    return out;
  }
  static void expect_frame(const Image& image, int i) {
    ASSERT_EQ(image.width, 48);
    ASSERT_EQ(image.height, 32);
    const std::uint8_t* pixel = image.row(16) + 3 * 24;
    EXPECT_NEAR(pixel[0], red(i), 6) << "frame " << i;
    EXPECT_NEAR(pixel[1], green(i), 6) << "frame " << i;
    EXPECT_NEAR(pixel[2], 200, 6) << "frame " << i;
  }
  TempFolder folder_;
};

TEST_F(Video, ReadsTheFramesThatAreWanted) {
  write("cats/a.avi", 25);
  write("dogs/b.avi", 7);
  auto stage = open("every: 3, val_fraction: 0, test_fraction: 0");
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("cats", "dogs"));
  EXPECT_EQ(stage.as<Source>().count(), 12u);
  Entry e;
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(stage.as<Source>().next(e));
    const int frame = i < 9 ? 3 * i : 3 * (i - 9);
    char key[32];
    std::snprintf(key, sizeof key, "%s#%06d", i < 9 ? "cats/a.avi" : "dogs/b.avi", frame);
    EXPECT_EQ(e.key, key);
    EXPECT_THAT(e.labels, ElementsAre(i < 9 ? 0 : 1));
    const auto& file = std::get<FileRef>(e.payload);
    EXPECT_EQ(file.member, std::to_string(frame));
    EXPECT_EQ(file.size, std::filesystem::file_size(file.path));
    if (i % 4 == 1) continue;  // known already
    expect_frame(std::get<Image>(stage.load(e)), frame);
  }
  EXPECT_FALSE(stage.as<Source>().next(e));
}

TEST_F(Video, ChoosesFramesByRateAndNumber) {
  write("c/a.avi", 30, 10);
  EXPECT_EQ(keys("").size(), 30u);
  EXPECT_THAT(keys("fps: 2"), ElementsAre("c/a.avi#000000", "c/a.avi#000005", "c/a.avi#000010",
                                          "c/a.avi#000015", "c/a.avi#000020", "c/a.avi#000025"));
  EXPECT_THAT(keys("fps: 4, max_frames: 4"),
              ElementsAre("c/a.avi#000000", "c/a.avi#000002", "c/a.avi#000005", "c/a.avi#000007"));
  EXPECT_EQ(keys("fps: 100").size(), 30u);
}

TEST_F(Video, FramesOfAVideoShareASplit) {
  for (int i = 0; i < 30; ++i) write("c/" + std::to_string(i) + ".avi", 3);
  std::map<std::string, std::vector<Split>> splits;
  std::map<Split, int> counts;
  auto stage = open();
  for (const Entry& e : stage.list()) {
    splits[e.key.substr(0, e.key.find('#'))].push_back(e.split);
    ++counts[e.split];
  }
  ASSERT_EQ(splits.size(), 30u);
  for (const auto& [video, all] : splits) EXPECT_THAT(all, ElementsAre(all[0], all[0], all[0])) << video;
  EXPECT_EQ(counts.size(), 3u);
}

TEST_F(Video, SplitsFromFolders) {
  write("train/c/a.avi", 2);
  write("test/c/b.avi", 2);
  auto stage = open("splits: {train: train, test: test}, val_fraction: 0");
  const auto entries = stage.list();
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].split, Split::Test);
  EXPECT_EQ(entries[2].split, Split::Train);
}

TEST_F(Video, WhatIsNoVideoIsOneReject) {
  write("c/a.avi", 3);
  folder_.write("c/fake.mp4", "this is no video");
  folder_.write("c/list.avi", "#EXTM3U\n#EXTINF:1,\n/etc/passwd\n");
  folder_.write("c/empty.avi", "");
  auto stage = open();
  std::map<std::string, std::string> outcome;
  for (Entry e; stage.as<Source>().next(e);) try {
      outcome[e.key] = std::holds_alternative<Image>(stage.load(e)) ? "image" : "?";
    } catch (const Reject& reject) {
      outcome[e.key] = reject.code();
    }
  const std::map<std::string, std::string> expected{
      {"c/a.avi#000000", "image"},   {"c/a.avi#000001", "image"},   {"c/a.avi#000002", "image"},
      {"c/fake.mp4", "not-a-video"}, {"c/list.avi", "not-a-video"}, {"c/empty.avi", "not-a-video"}};
  EXPECT_EQ(outcome, expected);
}

TEST_F(Video, AVideoThatIsCutOffEndsInRejects) {
  const std::string whole = test::slurp(write("c/a.avi", 40));
  for (std::size_t n = 0; n < whole.size(); n += whole.size() / 40) {
    folder_.write("c/a.avi", whole.substr(0, n));
    auto stage = open();
    int i = 0;
    for (Entry e; stage.as<Source>().next(e); ++i) try {
        expect_frame(std::get<Image>(stage.load(e)), i);
      } catch (const Reject& reject) {
        EXPECT_THAT(reject.code(), ::testing::AnyOf("truncated", "not-a-video", "empty", "corrupt")) << n;
      }
    EXPECT_GE(i, 1) << n;
  }
}

TEST_F(Video, TooLargeFramesAreRejected) {
  write("c/a.avi", 1);
  auto stage = open("max_pixels: 1000");
  Entry e;
  ASSERT_TRUE(stage.as<Source>().next(e));
  try {
    stage.load(e);
    FAIL();
  } catch (const Reject& reject) {
    EXPECT_EQ(reject.code(), "too-large");
    EXPECT_STREQ(reject.what(), "the frames have 48 x 32 pixels, more than max_pixels: 1000");
  }
}

TEST_F(Video, SaysWhatIsWrong) {
  EXPECT_EQ(fault("every: 2, fps: 1"), "every, fps: expected one of the two, got both");
  EXPECT_EQ(fault(),
            "expected videos in the class folders of ROOT, got none; the layout is root/CLASS/VIDEO, or "
            "root/SPLIT/CLASS/VIDEO with splits; label_from: none takes videos without a class");
  folder_.write("c/a.txt", "x");
  EXPECT_EQ(fault(), "expected videos in ROOT, got none: files leaves out 1 file, c/a.txt for one");
  write("c/a.avi", 1);
  EXPECT_EQ(fault("splits: {train: train}"),
            "splits: expected a folder 'train' in ROOT, got only c; name the folders that are there, or "
            "leave splits "
            "out to divide by a hash of the key");
}

}  // namespace
}  // namespace graft
