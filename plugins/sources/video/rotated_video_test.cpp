#include <array>
#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>

#include <graft/error.h>

#include "testing/video_fixture.h"

namespace graft::test {
namespace {

using ::testing::HasSubstr;

/// Replaces the matrix (a b u c d v x y w) of the first box of a type, `at` bytes after its type.
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
    std::string file = slurp(path);
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

}  // namespace
}  // namespace graft::test
