#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>

#include <graft/error.h>
#include <graft/testing/stage_harness.h>

#include "temp_folder.h"

namespace graft::test {

using graft::testing::StageHarness;

/// Colour of frame i: told apart after JPEG compression.
inline std::uint8_t red(int i) {
  return static_cast<std::uint8_t>(20 + 20 * (i % 10));
}
inline std::uint8_t green(int i) {
  return static_cast<std::uint8_t>(20 + 20 * (i / 10 % 10));
}

class Video : public ::testing::Test {
 protected:
  /// An AVI of Motion JPEG, which OpenCV writes and reads without help.
  std::string write(const std::string& name, int frames, double rate = 10, cv::Size size = {48, 32}) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::string path = (folder_ / name).string();
    cv::VideoWriter out(path, cv::CAP_OPENCV_MJPEG, cv::VideoWriter::fourcc('M', 'J', 'P', 'G'), rate, size);
    EXPECT_TRUE(out.isOpened());
    for (int i = 0; i < frames; ++i) out.write(cv::Mat(size, CV_8UC3, cv::Scalar(200, green(i), red(i))));
    return path;
  }
  /// A file of MPEG-4 frames, by the end of its name; empty where this OpenCV does not write it.
  std::string write_mpeg4(const std::string& name, int frames, double rate) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::string path = (folder_ / name).string();
    cv::VideoWriter out(path, cv::CAP_FFMPEG, cv::VideoWriter::fourcc('m', 'p', '4', 'v'), rate, {48, 32});
    if (!out.isOpened()) return {};
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

}  // namespace graft::test
