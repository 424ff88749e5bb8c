#include <image/jpeg.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/random.h>

#include <image/exif.h>
#include <image/fixtures.h>
#include <image/sniff.h>

namespace graft::image {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using namespace std::string_literals;

Bytes bytes(const std::string& content) {
  const auto owner = std::make_shared<std::string>(content);
  return {owner, reinterpret_cast<const std::uint8_t*>(owner->data()), owner->size()};
}

const std::vector<fixtures::File>& jpegs() {
  static const auto files = fixtures::files(GRAFT_IMAGE_TESTDATA "/jpeg.bin");
  return files;
}

// The code of the reject, or "ok".
std::string outcome(const std::string& content) {
  try {
    sniff(bytes(content));
    decode_jpeg(bytes(content), {});
    return "ok";
  } catch (const Reject& r) {
    EXPECT_STRNE(r.what(), "");
    return r.code();
  }
}

TEST(Jpeg, EqualsPillow) {
  EXPECT_EQ(jpegs().size(), 16u);
  for (const auto& file : jpegs())
    EXPECT_EQ(fixtures::difference(decode_jpeg(bytes(file.content), {}), file.pixels), "") << file.name;
}

TEST(Jpeg, EveryTruncationIsRejected) {
  for (const auto& file : jpegs())
    for (std::size_t n = 2; n < file.content.size(); ++n)
      EXPECT_THAT(outcome(file.content.substr(0, n)), AnyOf("truncated", "corrupt"))
          << file.name << " cut to " << n;
}

TEST(Jpeg, BytesBehindTheEndDoNotMatter) {
  EXPECT_EQ(outcome(jpegs()[0].content + "trailing bytes"), "ok");
}

TEST(Jpeg, DamageNeverCrashes) {
  Random random(11);
  for (int trial = 0; trial < 3000; ++trial) {
    std::string content = jpegs()[random.below(jpegs().size())].content;
    for (std::uint64_t i = 0; i <= random.below(6); ++i)
      content[random.below(content.size())] = static_cast<char>(random.next());
    outcome(content);
  }
}

TEST(Jpeg, ChecksTheSizeBeforeItDecodes) {
  std::string content = jpegs()[0].content;
  const std::size_t frame = content.find("\xff\xc0"s);
  ASSERT_NE(frame, std::string::npos);
  content[frame + 5] = content[frame + 7] = '\xff';  // the high bytes of height and width
  try {
    decode_jpeg(bytes(content), {});
    FAIL() << "expected a reject";
  } catch (const Reject& r) {
    EXPECT_EQ(r.code(), "too-large");
    EXPECT_STREQ(r.what(), "the image has 65309 x 65299 pixels, more than max_pixels: 64000000");
  }
}

TEST(Jpeg, OrientationCanBeLeftAlone) {
  for (const auto& file : jpegs())
    if (file.name == "orientation-6") {
      EXPECT_EQ(decode_jpeg(bytes(file.content), {}).width, 19);
      EXPECT_EQ(decode_jpeg(bytes(file.content), {.exif = false}).width, 29);
    }
}

int orientation(const std::string& tiff) {
  return exif_orientation({reinterpret_cast<const std::uint8_t*>(tiff.data()), tiff.size()}).value;
}

TEST(Exif, ReadsBothByteOrdersAndSurvivesDamage) {
  const std::string little = "II*\0\10\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"s;
  const std::string big = "MM\0*\0\0\0\10\0\1\1\x12\0\3\0\0\0\1\0\10\0\0\0\0\0\0"s;
  EXPECT_EQ(orientation(little), 6);
  EXPECT_EQ(orientation(big), 8);
  EXPECT_EQ(orientation(""), 1);
  EXPECT_EQ(orientation("II*\0\xff\xff\xff\xff"s), 1);
  for (std::size_t n = 0; n < 20; ++n) EXPECT_EQ(orientation(little.substr(0, n)), 1) << n;
  Random random(5);
  for (int trial = 0; trial < 5000; ++trial) {
    std::string damaged = random.chance(.5) ? little : big;
    damaged[random.below(damaged.size())] = static_cast<char>(random.next());
    EXPECT_GE(orientation(damaged), 1);
    EXPECT_LE(orientation(damaged), 8);
  }
}

TEST(Sniff, SaysWhatAFileIs) {
  const auto text = [](const std::string& content) {
    try {
      sniff(bytes(content));
      return "ok"s;
    } catch (const Reject& r) {
      return r.code() + ": " + r.what();
    }
  };
  EXPECT_EQ(text(""), "empty-file: the file has 0 bytes; copy or download it again");
  EXPECT_EQ(
      text("GIF89a\1\0\1\0"s),
      "unsupported-format: a GIF image is not read; convert it to one of JPEG, PNG, WebP, BMP, TIFF, PNM, or "
      "remove it");
  EXPECT_EQ(
      text("\xef\xbb\xbf\n<!DOCTYPE HTML><html>404"),
      "not-an-image: expected an image (JPEG, PNG, WebP, BMP, TIFF, PNM), got an HTML page, which a failed "
      "download leaves in place of an image");
  EXPECT_EQ(text("\0\1\2\3\4\5\6\7\10"s),
            "not-an-image: expected an image (JPEG, PNG, WebP, BMP, TIFF, PNM), got a file of no known image "
            "format "
            "(it begins with 00 01 02 03 04 05 06 07)");
  EXPECT_THAT(text("see the other folder\n"), HasSubstr("got a text file"));
  EXPECT_THAT(text("<?xml version='1.0'?><svg xmlns='...'/>"), HasSubstr("got an SVG drawing"));
  EXPECT_THAT(text("%PDF-1.4"), HasSubstr("got a PDF file"));
  EXPECT_THAT(text("PK\3\4...."), HasSubstr("got a ZIP archive"));
  EXPECT_THAT(text("....ftypisom...."), HasSubstr("got a video file"));
  EXPECT_THAT(text("....ftypavif...."), HasSubstr("an AVIF image is not read"));
  EXPECT_THAT(text("....ftypheic...."), HasSubstr("a HEIC image is not read"));
  EXPECT_THAT(text("II+\0"s), HasSubstr("a BigTIFF image is not read"));
  EXPECT_THAT(text("\x89PNG"), HasSubstr("truncated: the PNG file ends early"));
  EXPECT_THAT(text("P6\n0 5\n255\n"),
              HasSubstr("corrupt: the PNM file is damaged: its header says 0 x 5 pixels"));
  EXPECT_THAT(text("P5 9999999999 1 255 "), HasSubstr("a number in its header is too large"));
}

}  // namespace
}  // namespace graft::image
