#include <image/jpeg.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/random.h>

#include <image/exif.h>
#include <image/sniff.h>
#include <image/testing/fixtures.h>
#include <image/testing/jpeg_encode.h>

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
  static const auto kFiles = fixtures::files(GRAFT_IMAGE_TESTDATA "/jpeg.bin");
  return kFiles;
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

// Smooth colours with noise: every coefficient occurs.
Image picture(Random& random, int width, int height) {
  Image out = Image::allocate(width, height);
  const double a = random.uniform(.02, .3), b = random.uniform(.02, .3), noise = random.uniform(0, 60);
  for (int y = 0; y < height; ++y)
    for (int i = 0; i < 3 * width; ++i) {
      const double v = 128 + 80 * std::sin(a * i + b * y) + noise * random.normal();
      out.row(y)[i] = static_cast<std::uint8_t>(std::clamp(v, 0.0, 255.0));
    }
  return out;
}

struct NamedKind {
  const char* name;
  fixtures::JpegKind kind;
};

// Every way in which libjpeg decodes: each sampling has its own upsampling.
const NamedKind kKinds[] = {
    {"4:4:4", {}},
    {"4:2:0", {.h = 2, .v = 2}},
    {"4:2:2", {.h = 2}},
    {"4:4:0", {.v = 2}},
    {"4:1:1", {.h = 4}},
    {"4:1:0", {.h = 4, .v = 2}},
    {"grey", {.space = JCS_GRAYSCALE}},
    {"grey with factors", {.space = JCS_GRAYSCALE, .h = 2, .v = 2}},
    {"CMYK", {.space = JCS_CMYK}},
    {"YCCK", {.space = JCS_YCCK}},
    {"YCCK 4:2:0", {.space = JCS_YCCK, .h = 2, .v = 2}},
    {"progressive", {.h = 2, .v = 2, .progressive = true}},
    {"arithmetic", {.h = 2, .v = 2, .arithmetic = true}},
    {"restarts", {.h = 2, .v = 2, .restart_rows = 1}},
    {"restarts 4:4:4", {.restart_rows = 2}},
};

Rect whole(Size size) {
  return {0, 0, static_cast<int>(size.width), static_cast<int>(size.height)};
}

Rect part_of(Random& random, Size size) {
  const auto within = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random.below(std::uint64_t(n)));
  };
  const auto width = static_cast<int>(1 + within(size.width)),
             height = static_cast<int>(1 + within(size.height));
  return {within(size.width - width + 1), within(size.height - height + 1), width, height};
}

TEST(Jpeg, APartIsThatOfTheWhole) {
  Random random(21);
  for (const auto& [name, kind] : kKinds) {
    for (int trial = 0; trial < 60; ++trial) {
      fixtures::JpegKind k = kind;
      k.quality = static_cast<int>(20 + random.below(80));
      const int width = static_cast<int>(1 + random.below(trial % 2 ? 300 : 60));
      const int height = static_cast<int>(1 + random.below(trial % 2 ? 200 : 60));
      const Bytes file = bytes(fixtures::encode_jpeg(picture(random, width, height), k));
      const int eighths = trial % 4 == 0 ? 1 << random.below(3) : 8;
      JpegFile first(file, {});
      const Size size = first.frame(eighths).size;
      const Image all = first.decode(whole(size), eighths);
      for (int i = 0; i < 3; ++i) {
        const Rect wanted = part_of(random, size);
        EXPECT_EQ(fixtures::difference(JpegFile(file, {}).decode(wanted, eighths), view(all, wanted)), "")
            << name << ", " << width << " x " << height << " at " << eighths << "/8, part " << wanted.width
            << " x " << wanted.height << " at " << wanted.x << ", " << wanted.y;
      }
    }
  }
}

// The reject of a file, or its pixels.
std::string decoded(const std::string& content, Rect wanted, Image& out) {
  try {
    out = JpegFile(bytes(content), {}).decode(wanted);
    return "ok";
  } catch (const Reject& r) {
    return r.code() + ": " + r.what();
  }
}

TEST(Jpeg, DamageOutsideThePartIsFound) {
  Random random(22);
  for (const auto& [name, kind] : kKinds) {
    const Size size{90, 120};
    const std::string content = fixtures::encode_jpeg(picture(random, 90, 120), kind);
    const Rect wanted{30, 40, 20, 25};
    Image part, all;
    int rejected = 0;
    for (int trial = 0; trial < 150; ++trial) {
      std::string damaged = content;
      // The last 40 %: after the lines that the part needs.
      const std::size_t at = content.size() - 1 - random.below(content.size() * 2 / 5);
      if (trial % 3 == 0)
        damaged.resize(at);
      else
        damaged[at] = static_cast<char>(trial % 3 == 1 ? 0xff : random.next());
      const std::string got = decoded(damaged, wanted, part);
      EXPECT_EQ(got, decoded(damaged, whole(size), all)) << name << ", byte " << at;
      if (got != "ok") {
        ++rejected;
        EXPECT_THAT(got, AnyOf(::testing::StartsWith("truncated"), ::testing::StartsWith("corrupt"),
                               ::testing::StartsWith("unsupported-format")));
      } else {
        EXPECT_EQ(fixtures::difference(part, view(all, wanted)), "") << name << ", byte " << at;
      }
    }
    EXPECT_GE(rejected, 50) << name;  // every truncation
  }
}

TEST(Jpeg, FastFindsEveryTruncation) {
  Random random(24);
  for (const auto& [name, kind] : kKinds) {
    const std::string content = fixtures::encode_jpeg(picture(random, 90, 120), kind);
    for (const Rect wanted : {Rect{30, 40, 20, 25}, Rect{30, 95, 20, 25}}) {
      const auto outcome = [&](const std::string& file) -> std::string {
        try {
          JpegFile(bytes(file), {.fast = true}).decode(wanted);
          return "ok";
        } catch (const Reject& r) {
          return r.code();
        }
      };
      EXPECT_EQ(outcome(content), "ok") << name;
      EXPECT_EQ(outcome(content + std::string(100, 'x')), "ok") << name;
      // Without the whole end mark, whatever else is missing.
      for (std::size_t missing = 1; missing < content.size() / 2; missing += 1 + missing / 8)
        EXPECT_NE(outcome(content.substr(0, content.size() - missing)), "ok") << name << ", " << missing;
    }
  }
}

TEST(Jpeg, TurnedFilesAreDecodedInPart) {
  Random random(23);
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const std::string plain = fixtures::encode_jpeg(picture(random, 83, 57), {.h = 2, .v = 2});
    const std::string tiff =
        "MM\0*\0\0\0\10\0\1\1\x12\0\3\0\0\0\1\0"s + static_cast<char>(orientation) + "\0\0\0\0\0\0"s;
    const std::string exif = "Exif\0\0"s + tiff;
    const std::string content =
        "\xff\xd8\xff\xe1\0"s + static_cast<char>(exif.size() + 2) + exif + plain.substr(2);
    const Image wanted = upright(decode_jpeg(bytes(plain), {}), orientation);
    JpegFile file(bytes(content), {});
    ASSERT_EQ(file.size(), (Size{wanted.width, wanted.height})) << orientation;
    const Rect part = part_of(random, file.size());
    EXPECT_EQ(fixtures::difference(file.decode(part), view(wanted, part)), "") << orientation;
    // What is left of a pixel at half the size ends up where the far sides of the file do.
    const Frame half = file.frame(4);
    EXPECT_EQ(half.right - half.left, file.size().width / 2.0) << orientation;
    EXPECT_EQ(half.bottom - half.top, file.size().height / 2.0) << orientation;
  }
  const Frame turned = upright(Frame{{4, 3}, 0, 0, 3.5, 2.75}, 6);
  EXPECT_EQ(turned.size, (Size{3, 4}));
  EXPECT_EQ(turned.left, 0.25);
  EXPECT_EQ(turned.right, 3);
  EXPECT_EQ(turned.bottom, 3.5);
}

TEST(Jpeg, ShrinksNoFurtherThanTheTarget) {
  Random random(24);
  const Bytes file = bytes(fixtures::encode_jpeg(picture(random, 200, 120), {}));
  const auto eighths = [&](std::int64_t w, std::int64_t h) {
    return JpegFile(file, {.fast = true}).eighths_for({w, h});
  };
  EXPECT_EQ(eighths(101, 10), 8);
  EXPECT_EQ(eighths(100, 60), 4);
  EXPECT_EQ(eighths(10, 31), 4);
  EXPECT_EQ(eighths(50, 30), 2);
  EXPECT_EQ(eighths(25, 15), 1);
  EXPECT_EQ(eighths(400, 240), 8);
}

TEST(Jpeg, CoefficientsOfManyScansAreLimited) {
  // One column: each row of blocks is sixteen times wider than the image.
  Random random(25);
  const std::string content =
      fixtures::encode_jpeg(picture(random, 1, 60'000), {.h = 2, .v = 2, .progressive = true});
  EXPECT_EQ(outcome(content), "ok");
  try {
    decode_jpeg(bytes(content), {.max_pixels = 60'000});
    FAIL() << "expected a reject";
  } catch (const Reject& r) {
    EXPECT_EQ(r.code(), "too-large");
    EXPECT_STREQ(r.what(), "the JPEG file needs more memory to decode than max_pixels: 60000 allows");
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
  return exif_orientation({reinterpret_cast<const std::uint8_t*>(tiff.data()), tiff.size()}).value_or(1);
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
  EXPECT_THAT(text("\0\0\0\x18"
                   "ftypmif1\0\0\0\0mif1avif"s),
              HasSubstr("an AVIF image is not read"));
  EXPECT_THAT(text("\0\0\0\x14"
                   "ftypmif1\0\0\0\0mif1avif"s),
              HasSubstr("a HEIC image is not read"));
  EXPECT_THAT(text("\0\0\2\0\1\0\x20\x20\0\0\0\0"s), HasSubstr("a cursor file is not read"));
  EXPECT_THAT(text("II+\0"s), HasSubstr("a BigTIFF image is not read"));
  EXPECT_THAT(text("RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\2\0\0\0\1\0\0\1\0\0"s),
              HasSubstr("an animated WebP image is not read"));
  EXPECT_THAT(text("P7\nWIDTH 1\n"), HasSubstr("a PAM or PFM image is not read"));
  EXPECT_THAT(text("\x89PNG"), HasSubstr("truncated: the PNG file ends early"));
  EXPECT_THAT(text("P6\n0 5\n255\n"),
              HasSubstr("corrupt: the PNM file is damaged: its header says 0 x 5 pixels"));
  EXPECT_THAT(text("P5 9999999999 1 255 "), HasSubstr("a number in its header is too large"));
}

}  // namespace
}  // namespace graft::image
