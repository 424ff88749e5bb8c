// Files of every kind that decode reads, against Pillow: those that testdata/pixel_matrix.py makes where
// Debian's python3-pil is installed, and a choice of them that always runs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <unistd.h>

#include <graft/error.h>
#include <graft/random.h>
#include <graft/testing/stage_harness.h>

#include <image/geometry.h>
#include <image/testing/fixtures.h>

namespace graft {
namespace {

using image::fixtures::File;
using testing::StageHarness;

const std::string kTestdata = GRAFT_TEST_SOURCE_DIR "/plugins/pixels/decode/testdata/";
constexpr std::size_t kChoice = 206;
const std::string kPython = "/usr/bin/python3";

struct Counts {
  int equal = 0, own = 0, rejected = 0, other = 0;
};

// Every file as its name says: pixels equal to the wanted ones, or a reject with the wanted code.
Counts compare(const std::vector<File>& files) {
  StageHarness stage("decode", "{resize: null, crop: null}");
  Counts counts;
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  for (const File& file : files) {
    const std::string expected = file.name.substr(0, file.name.find(' '));
    try {
      const Image got = std::get<Image>(stage.apply(StageHarness::bytes(file.content)));
      const std::string difference = image::fixtures::difference(got, file.pixels);
      const bool right = (expected == "pillow" || expected == "own") && difference.empty();
      EXPECT_TRUE(right) << file.name << ": " << difference;
      ++(!right ? counts.other : expected == "own" ? counts.own : counts.equal);
    } catch (const Reject& r) {
      const bool right = r.code() == (expected == "named" ? "unsupported-format" : expected);
      EXPECT_TRUE(right) << file.name << ": " << r.code() << ": " << r.what();
      ++(right ? counts.rejected : counts.other);
    }
  }
  // The libraries would print messages about many of these.
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  std::cout << files.size() << " files: " << counts.equal << " equal to Pillow, " << counts.own
            << " right where Pillow is not, " << counts.rejected << " rejected as they should be, "
            << counts.other << " otherwise\n";
  return counts;
}

TEST(PixelMatrix, AChoiceOfItEqualsPillowAnywhere) {
  const std::vector<File> files = image::fixtures::files(kTestdata + "pixel_matrix.bin");
  EXPECT_EQ(files.size(), kChoice);
  EXPECT_EQ(compare(files).other, 0);
}

// No image is rotated, in any format that holds an orientation, wherever it is stored.
TEST(PixelMatrix, WithoutExifNothingIsTurned) {
  StageHarness stage("decode", "{resize: null, crop: null, exif: false}");
  int turned = 0;
  for (const File& file : image::fixtures::files(kTestdata + "pixel_matrix.bin")) {
    if (file.pixels.height <= file.pixels.width) continue;  // upright ones lie
    const Image got = std::get<Image>(stage.apply(StageHarness::bytes(file.content)));
    EXPECT_GT(got.width, got.height) << file.name;
    const auto makes_it = [&](int turn) {
      return image::fixtures::difference(image::upright(got, turn), file.pixels).empty();
    };
    EXPECT_TRUE(makes_it(5) || makes_it(6) || makes_it(7) || makes_it(8)) << file.name;
    ++turned;
  }
  EXPECT_GE(turned, 10);
}

TEST(PixelMatrix, DamageIsRejectedInSilence) {
  StageHarness stage("decode", "{max_pixels: 100000}");
  const std::vector<File> files = image::fixtures::files(kTestdata + "pixel_matrix.bin");
  Random random(7);
  ::testing::internal::CaptureStderr();
  for (int trial = 0; trial < 4000; ++trial) {
    std::string content = files[random.below(files.size())].content;
    for (std::uint64_t i = 0; i <= random.below(4); ++i)
      content[random.below(std::min<std::size_t>(content.size(), random.chance(.5) ? 64 : 1 << 20))] =
          static_cast<char>(random.next());
    if (random.chance(.2)) content.resize(random.below(content.size()));
    try {
      stage.apply(StageHarness::bytes(content));
    } catch (const Reject&) {
      continue;
    }
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(PixelMatrix, EqualsPillowOrIsRejectedByName) {
  if (std::system((kPython + " -c 'import PIL, numpy' 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "needs Debian's python3-pil and python3-numpy";
  const std::string path = ::testing::TempDir() + "pixel_matrix_" + std::to_string(::getpid()) + ".bin";
  ASSERT_EQ(std::system((kPython + " -W ignore " + kTestdata + "pixel_matrix.py " + path).c_str()), 0);
  const std::vector<File> files = image::fixtures::files(path);
  std::filesystem::remove(path);
  const Counts counts = compare(files);
  EXPECT_GE(counts.equal, 600);
  EXPECT_GE(counts.own, 100);
  EXPECT_GE(counts.rejected, 10);
}

}  // namespace
}  // namespace graft
