// What counts as damage in a JPEG file: files that lack data are rejected, unusual files are read.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/random.h>

#include <image/jpeg.h>
#include <image/testing/fixtures.h>
#include <image/testing/jpeg_encode.h>
#include "jpeg_scan.h"

namespace graft::image {
namespace {

using namespace std::string_literals;

Bytes bytes(const std::string& content) {
  const auto owner = std::make_shared<std::string>(content);
  return {owner, reinterpret_cast<const std::uint8_t*>(owner->data()), owner->size()};
}

// Smooth colours with a little noise, like a photograph.
Image picture(Random& random, int width, int height) {
  Image out = Image::allocate(width, height);
  for (int y = 0; y < height; ++y)
    for (int i = 0; i < 3 * width; ++i) {
      const double v = 128 + 80 * std::sin(.05 * i + .11 * y) + 12 * random.normal();
      out.row(y)[i] = static_cast<std::uint8_t>(std::clamp(v, 0.0, 255.0));
    }
  return out;
}

// libjpeg's pixels when its warnings are ignored, as by Pillow; nothing if it fails.
struct Lenient {
  std::optional<Image> image;
  long warnings = 0;
};
Lenient lenient(const std::string& content) {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  errors.output_message = [](j_common_ptr) {};
  errors.error_exit = [](j_common_ptr) { throw std::runtime_error("libjpeg"); };
  jpeg_create_decompress(&info);
  Lenient out;
  try {
    jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(content.data()), content.size());
    jpeg_read_header(&info, TRUE);
    info.out_color_space = JCS_RGB;
    jpeg_start_decompress(&info);
    Image image = Image::allocate(static_cast<int>(info.output_width), static_cast<int>(info.output_height));
    while (info.output_scanline < info.output_height) {
      JSAMPROW row = image.row(static_cast<int>(info.output_scanline));
      jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
    out = {image, errors.num_warnings};
  } catch (const std::runtime_error&) {
    out.image.reset();
  }
  jpeg_destroy_decompress(&info);
  return out;
}

// The reject, or "ok" and the pixels.
std::string outcome(const std::string& content, Image& out) {
  try {
    out = decode_jpeg(bytes(content), {});
    return "ok";
  } catch (const Reject& r) {
    return r.code() + ": " + r.what();
  }
}

// As outcome() of the lower right quarter, which is decoded alone.
std::string outcome_of_part(const std::string& content, Image& out) {
  try {
    JpegFile file(bytes(content), {});
    const auto w = static_cast<int>(file.size().width), h = static_cast<int>(file.size().height);
    out = file.decode({w / 2, h / 2, w - w / 2, h - h / 2});
    return "ok";
  } catch (const Reject& r) {
    return r.code() + ": " + r.what();
  }
}

struct Kind {
  const char* name;
  fixtures::JpegKind kind;
};
const Kind kKinds[] = {{"4:4:4", {}},
                       {"4:2:0", {.h = 2, .v = 2}},
                       {"4:2:2", {.h = 2}},
                       {"grey", {.space = JCS_GRAYSCALE}},
                       {"progressive", {.h = 2, .v = 2, .progressive = true}},
                       {"restarts", {.h = 2, .v = 2, .restart_rows = 1}},
                       {"restarts 4:4:4", {.restart_rows = 2}}};

// Places of the markers `low` to `high`.
std::vector<std::size_t> markers(const std::string& content, int low, int high) {
  std::vector<std::size_t> out;
  for (std::size_t at = 2; at + 1 < content.size(); ++at)
    if (content[at] == '\xff') {
      const int v = static_cast<unsigned char>(content[at + 1]);
      if (v >= low && v <= high) out.push_back(at);
    }
  return out;
}

std::string noise(Random& random, std::size_t n) {
  std::string out;
  while (out.size() < n)
    if (const auto c = static_cast<char>(random.next()); c != '\xff') out += c;
  return out;
}

TEST(JpegDamage, OddFilesThatLackNothingAreRead) {
  Random random(41);
  int files = 0;
  for (const auto& [name, kind] : kKinds) {
    const std::string whole = fixtures::encode_jpeg(picture(random, 75, 61), kind);
    Image wanted, wanted_part;
    ASSERT_EQ(outcome(whole, wanted), "ok");
    ASSERT_EQ(outcome_of_part(whole, wanted_part), "ok");
    std::vector<std::pair<std::string, std::string>> odd;
    const auto change = [&](const std::string& what, std::size_t at, const std::string& with,
                            std::size_t instead_of) {
      odd.emplace_back(what, std::string(whole).replace(at, instead_of, with));
    };
    const std::size_t jfif = whole.find("JFIF");
    for (const char* version : {"\0\0", "\2\1", "\3\7", "\1\0"})
      change("JFIF", jfif + 5, std::string(version, 2), 2);
    const std::string adobe =
        "\xff\xee\0\x0e"
        "Adobe\0\x64\0\0\0\0"s;
    if (kind.space == JCS_YCbCr)
      for (const char transform : {'\3', '\7', '\xff'}) change("Adobe", 2, adobe + transform, jfif + 14 - 4);
    if (!kind.progressive) {
      const std::size_t scan = markers(whole, 0xda, 0xda).front();
      const auto length = static_cast<unsigned char>(whole[scan + 3]);
      for (const char* spectrum : {"\0\0\0", "\0\5\0", "\1\77\0"})
        change("SOS", scan + 2 + length - 3, std::string(spectrum, 3), 3);
    }
    const std::size_t scan = markers(whole, 0xda, 0xda).front(), end = whole.size() - 2;
    for (const std::size_t n : {1u, 2u, 3u, 14u, 240u}) {
      for (const int marker : {0xc0, 0xc2, 0xc4, 0xda, 0xdb, 0xdd})
        for (const std::size_t at : markers(whole.substr(0, scan + 2), marker, marker))
          change("between segments", at, noise(random, n), 0);
      change("zeros before the end", end, std::string(n, '\0'), 0);
      change("text before the end", end,
             std::string("thumbnail of the camera, which it forgot to remove").substr(0, n), 0);
      change("fill bytes before the end", end, std::string(n, '\xff'), 0);
      if (kind.restart_rows > 0)
        for (const std::size_t at : markers(whole, 0xd0, 0xd7)) {
          change("zeros before a restart", at, std::string(n, '\0'), 0);
          change("fill bytes before a restart", at, std::string(n, '\xff'), 0);
        }
    }
    for (const auto& [what, content] : odd) {
      Image got, part;
      EXPECT_EQ(outcome(content, got), "ok") << name << ", " << what;
      EXPECT_EQ(outcome_of_part(content, part), "ok") << name << ", " << what;
      if (got.data == nullptr || part.data == nullptr) continue;
      EXPECT_EQ(fixtures::difference(got, wanted), "") << name << ", " << what;
      EXPECT_EQ(fixtures::difference(part, wanted_part), "") << name << ", " << what;
      ++files;
    }
  }
  std::cout << files << " odd files have the pixels of the plain ones\n";
  EXPECT_GE(files, 400);
}

TEST(JpegDamage, ScansThatAreMissingBeforeTheEndMarkAreLostData) {
  Random random(46);
  for (const fixtures::JpegKind& kind : {fixtures::JpegKind{.scan_each = true}, {.progressive = true}}) {
    const std::string whole = fixtures::encode_jpeg(picture(random, 75, 61), kind);
    Image got;
    ASSERT_EQ(outcome(whole, got), "ok");
    const std::vector<std::size_t> scans = markers(whole, 0xda, 0xda);
    ASSERT_GE(scans.size(), 3u);
    for (std::size_t n = 1; n < scans.size(); ++n)
      EXPECT_THAT(outcome(whole.substr(0, scans[n]) + "\xff\xd9", got), ::testing::StartsWith("truncated"))
          << n << " of " << scans.size() << (kind.progressive ? ", progressive" : "");
  }
}

// A scan of no components takes no bits, however many bytes follow it.
const std::string kEmptyScan = "\xff\xda\0\6\0\0\77\0"s + std::string(64, '\xaa');

TEST(JpegDamage, AScanOfNoComponentsEnds) {
  Random random(42);
  for (const auto& [name, kind] : kKinds) {
    const std::string whole = fixtures::encode_jpeg(picture(random, 75, 61), kind);
    EXPECT_NO_THROW(check_scans(bytes(whole.substr(0, whole.size() - 2) + kEmptyScan + "\xff\xd9"))) << name;
    const std::size_t scan = markers(whole, 0xda, 0xda).front();
    EXPECT_NO_THROW(check_scans(bytes(std::string(whole).insert(scan, kEmptyScan)))) << name;
    EXPECT_NO_THROW(check_scans(bytes("\xff\xd8" + kEmptyScan))) << name;
  }
}

TEST(JpegDamage, TheMarkerTemHasNoLength) {
  // Read as a segment of four bytes, it would hide the end of the image.
  const std::string after = "\xff\1\0\4\xff\xd9"s + kEmptyScan;
  Random random(44);
  for (const auto& [name, kind] : kKinds) {
    const std::string whole = fixtures::encode_jpeg(picture(random, 75, 61), kind);
    Image wanted, got;
    ASSERT_EQ(outcome(whole, wanted), "ok");
    ASSERT_EQ(outcome(whole.substr(0, whole.size() - 2) + after, got), "ok") << name;
    EXPECT_EQ(fixtures::difference(got, wanted), "") << name;
  }
}

// How a file is damaged, and whether that is detected: cuts and gaps always are.
enum class Damage { Cut, Gap, Junk, LostInterval, Bits };

std::string damaged(Random& random, const std::string& whole, Damage damage) {
  const std::size_t scan = markers(whole, 0xda, 0xda).front(), first = scan + 20, end = whole.size() - 2;
  const std::size_t at = first + random.below(end - first - 8);
  std::string out = whole;
  switch (damage) {
    case Damage::Cut:
      return out.substr(0, at);
    case Damage::Gap:
      return out.erase(at, 1 + random.below(6));
    case Damage::Junk:
      return out.insert(at, noise(random, 1 + random.below(20)));
    case Damage::Bits:
      out[at] = static_cast<char>(out[at] ^ (1 << random.below(8)));
      return out;
    case Damage::LostInterval: {
      const auto marks = markers(whole, 0xd0, 0xd7);
      if (marks.size() < 2) return whole;
      const std::size_t i = random.below(marks.size() - 1);
      return out.erase(marks[i], marks[i + 1] - marks[i]);
    }
  }
  return out;
}

TEST(JpegDamage, WhatIsAcceptedIsWhatPillowReadsAndWhatIsRejectedMissesSome) {
  Random random(43);
  int accepted = 0, right = 0, rejected = 0, left_over = 0, missed = 0;
  for (const auto& [name, kind] : kKinds) {
    const std::string whole = fixtures::encode_jpeg(picture(random, 75, 61), kind);
    Image wanted;
    ASSERT_EQ(outcome(whole, wanted), "ok");
    for (int trial = 0; trial < 400; ++trial) {
      const auto damage = static_cast<Damage>(trial % 5);
      const std::string content = damaged(random, whole, damage);
      Image got, part;
      const std::string said = outcome(content, got);
      EXPECT_EQ(outcome_of_part(content, part) == "ok", said == "ok")
          << name << ", trial " << trial << ": " << said;
      const auto [seen, warnings] = lenient(content);
      const bool same = seen && fixtures::difference(*seen, wanted).empty();
      if (said == "ok") {
        ++accepted;
        right += same;
        missed += !same && warnings > 0;
        ASSERT_TRUE(seen) << name << ", trial " << trial;
        EXPECT_EQ(fixtures::difference(got, *seen), "") << name << ", trial " << trial;
        EXPECT_NE(damage, Damage::Cut) << name << ", trial " << trial;
        if (damage == Damage::LostInterval && kind.restart_rows > 0)
          ADD_FAILURE() << name << ": an interval is lost";
      } else {
        ++rejected;
        left_over += said.find("left over") != std::string::npos;
        EXPECT_FALSE(same && damage != Damage::Cut) << name << ", trial " << trial << ": " << said;
      }
    }
  }
  std::cout << accepted << " accepted (" << right << " unharmed), " << rejected << " rejected, " << left_over
            << " of them for bytes that are left over; " << missed
            << " accepted although libjpeg skipped bytes of them and they are harmed\n";
  EXPECT_GE(rejected, 1000);
  EXPECT_GE(left_over, 50);
  // No decoder detects all damage: a damaged scan may end like a complete one.
  EXPECT_LE(missed, left_over / 2);
}

}  // namespace
}  // namespace graft::image
