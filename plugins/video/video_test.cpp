#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
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

/// Replaces the matrix (a b u c d v x y w) of the first box of a type, `at` bytes behind its type.
std::string with_matrix(std::string file, const std::string& box, std::size_t at, std::array<double, 4> m) {
  const std::size_t start = file.find(box) + 4 + at;
  const std::array<std::int64_t, 9> values{std::llround(m[0] * 65536),
                                           std::llround(m[1] * 65536),
                                           0,
                                           std::llround(m[2] * 65536),
                                           std::llround(m[3] * 65536),
                                           0,
                                           0,
                                           0,
                                           1 << 30};
  for (std::size_t i = 0; i < values.size(); ++i)
    for (std::size_t b = 0; b < 4; ++b)
      file[start + 4 * i + b] = static_cast<char>(values[i] >> (24 - 8 * b));
  return file;
}

/// MP4 files with matrices of every kind: what a player shows.
class RotatedVideo : public Video {
 protected:
  /// An MP4 file of one frame, 48 x 32: red in the upper left quarter, green right of it, blue below. Empty
  /// where this OpenCV cannot write one.
  std::string upright() {
    const std::string path = (folder_ / "upright.mp4").string();
    cv::VideoWriter out(path, cv::CAP_FFMPEG, cv::VideoWriter::fourcc('m', 'p', '4', 'v'), 10, {48, 32});
    if (!out.isOpened()) return {};
    cv::Mat frame(32, 48, CV_8UC3, cv::Scalar(128, 128, 128));
    frame(cv::Rect(0, 0, 24, 16)) = cv::Scalar(0, 0, 255);
    frame(cv::Rect(24, 0, 24, 16)) = cv::Scalar(0, 255, 0);
    frame(cv::Rect(0, 16, 24, 16)) = cv::Scalar(255, 0, 0);
    for (int i = 0; i < 3; ++i) out.write(frame);
    out.release();
    const std::string file = test::slurp(path);
    std::filesystem::remove(path);
    return file;
  }
  Image first_frame(const std::string& file) {
    folder_.write("c/a.mp4", file);
    auto stage = open();
    Entry e;
    EXPECT_TRUE(stage.as<Source>().next(e));
    return std::get<Image>(stage.load(e));
  }
  /// The colours of the quarters: upper left, upper right, lower left, lower right.
  static std::string quarters(const Image& image) {
    std::string out;
    for (const int y : {image.height / 4, image.height * 3 / 4})
      for (const int x : {image.width / 4, image.width * 3 / 4}) {
        const std::uint8_t* p = image.row(y) + 3 * x;
        out += p[0] > 180 ? 'r' : p[1] > 180 ? 'g' : p[2] > 180 ? 'b' : '-';
      }
    return out + " " + std::to_string(image.width) + " x " + std::to_string(image.height);
  }
};

constexpr std::size_t kInTrack = 40, kInMovie = 36;  // where the matrix is in tkhd and mvhd of version 0

TEST_F(RotatedVideo, FramesAreShownAsTheMatrixSays) {
  const std::string file = upright();
  if (file.empty()) GTEST_SKIP() << "this OpenCV writes no MP4 files";
  const auto shown = [&](std::array<double, 4> matrix) {
    return quarters(first_frame(with_matrix(file, "tkhd", kInTrack, matrix)));
  };
  EXPECT_EQ(shown({1, 0, 0, 1}), "rgb- 48 x 32");
  EXPECT_EQ(shown({0, 1, -1, 0}), "br-g 32 x 48") << "90 clockwise: what a phone held upright writes";
  EXPECT_EQ(shown({-1, 0, 0, -1}), "-bgr 48 x 32") << "180";
  EXPECT_EQ(shown({0, -1, 1, 0}), "g-rb 32 x 48") << "90 counter-clockwise";
  EXPECT_EQ(shown({-1, 0, 0, 1}), "gr-b 48 x 32") << "mirrored left to right";
  EXPECT_EQ(shown({1, 0, 0, -1}), "b-rg 48 x 32") << "mirrored top to bottom";
  EXPECT_EQ(shown({0, 1, 1, 0}), "rbg- 32 x 48") << "transposed";
  EXPECT_EQ(shown({0, -1, -1, 0}), "-gbr 32 x 48") << "transposed along the other diagonal";
  EXPECT_EQ(shown({0, 1.5, -1.5, 0}), "br-g 32 x 48") << "a scale is no rotation";
  EXPECT_EQ(shown({0, 0, 0, 0}), "rgb- 48 x 32") << "an empty matrix says nothing";
}

TEST_F(RotatedVideo, OnlyThePlacesOfPixelsChange) {
  const std::string file = upright();
  if (file.empty()) GTEST_SKIP() << "this OpenCV writes no MP4 files";
  const Image before = first_frame(file);
  const Image after = first_frame(with_matrix(file, "tkhd", kInTrack, {0, 1, -1, 0}));
  ASSERT_EQ(after.width, before.height);
  ASSERT_EQ(after.height, before.width);
  for (int y = 0; y < before.height; ++y)
    for (int x = 0; x < before.width; ++x)
      for (int c = 0; c < 3; ++c)
        ASSERT_EQ(before.row(y)[3 * x + c], after.row(x)[3 * (before.height - 1 - y) + c]) << x << ", " << y;
}

TEST_F(RotatedVideo, TheMatrixOfTheMovieCounts) {
  const std::string file = upright();
  if (file.empty()) GTEST_SKIP() << "this OpenCV writes no MP4 files";
  const std::string turned = with_matrix(file, "mvhd", kInMovie, {0, 1, -1, 0});
  EXPECT_EQ(quarters(first_frame(turned)), "br-g 32 x 48");
  EXPECT_EQ(quarters(first_frame(with_matrix(turned, "tkhd", kInTrack, {0, 1, -1, 0}))), "-bgr 48 x 32");
}

TEST_F(RotatedVideo, AnotherAngleIsRejected) {
  const std::string file = upright();
  if (file.empty()) GTEST_SKIP() << "this OpenCV writes no MP4 files";
  folder_.write("c/a.mp4", with_matrix(file, "tkhd", kInTrack, {0.7, 0.7, -0.7, 0.7}));
  auto stage = open();
  Entry e;
  ASSERT_TRUE(stage.as<Source>().next(e));
  EXPECT_EQ(e.key, "c/a.mp4");
  try {
    stage.load(e);
    FAIL();
  } catch (const Reject& reject) {
    EXPECT_EQ(reject.code(), "rotation");
  }
}

// What is remembered of a frame names how it is shown: another matrix in the file is other content.
TEST_F(RotatedVideo, AFrameIsRememberedAsItIsShown) {
  const std::string file = upright();
  if (file.empty()) GTEST_SKIP() << "this OpenCV writes no MP4 files";
  const auto member = [&](const std::string& content) {
    folder_.write("c/a.mp4", content);
    return std::get<FileRef>(open().list().at(0).payload).member;
  };
  EXPECT_EQ(member(file), "0");
  EXPECT_EQ(member(with_matrix(file, "tkhd", kInTrack, {-1, 0, 0, -1})), "0 as shown");
}

TEST_F(Video, SaysWhatIsWrong) {
  EXPECT_EQ(fault("every: 2, fps: 1"), "every, fps: expected one of the two, got both");
  EXPECT_EQ(fault(),
            "expected videos in the class folders of ROOT, got none; the layout is root/CLASS/VIDEO, or "
            "root/SPLIT/CLASS/VIDEO with splits; label_from: none takes videos without a class");
  folder_.write("c/a.txt", "x");
  EXPECT_EQ(fault(), "expected videos in ROOT, got none: files leaves out 1 file");
  write("c/a.avi", 1);
  EXPECT_EQ(fault("splits: {train: train}"),
            "splits: expected a folder 'train' in ROOT, got only c; name the folders that are there, or "
            "leave splits "
            "out to divide by a hash of the key");
}

}  // namespace
}  // namespace graft
