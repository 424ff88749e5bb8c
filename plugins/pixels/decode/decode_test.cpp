#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <zlib.h>

#include <graft/error.h>
#include <graft/random.h>
#include <graft/testing/stage_harness.h>

#include <image/resize.h>
#include <image/testing/fixtures.h>
#include <image/testing/jpeg_encode.h>
#include <preprocessing/preprocessing.h>

namespace graft {
namespace {

using image::fixtures::difference;
using image::fixtures::File;
using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::HasSubstr;
using testing::StageHarness;
using namespace std::string_literals;

const std::string kPlugins = GRAFT_TEST_SOURCE_DIR "/plugins/";
const std::string kWhole = "{resize: null, crop: null}";

// Grey levels by which pixels of `fast` differ on the average from the exact ones.
constexpr double kFastBound = 1.0;

const std::vector<File>& formats() {
  static const auto kFiles = image::fixtures::files(kPlugins + "pixels/decode/testdata/formats.bin");
  return kFiles;
}

const std::vector<File>& jpegs() {
  static const auto kFiles = image::fixtures::files(kPlugins + "pixels/lib/image/testdata/jpeg.bin");
  return kFiles;
}

const File& named(std::string_view name) {
  for (const auto* files : {&formats(), &jpegs()})
    for (const File& file : *files)
      if (file.name == name) return file;
  throw std::out_of_range(std::string(name));
}

Image decode(StageHarness& stage, const std::string& content) {
  return std::get<Image>(stage.apply(StageHarness::bytes(content)));
}

// "code: text" of the reject, or "ok".
std::string outcome(StageHarness& stage, const std::string& content) {
  try {
    decode(stage, content);
    return "ok";
  } catch (const Reject& r) {
    return r.code() + ": " + r.what();
  }
}

TEST(Decode, ReadsEveryFormat) {
  StageHarness stage("decode", kWhole);
  EXPECT_EQ(formats().size(), 39u);
  for (const auto* files : {&formats(), &jpegs()})
    for (const File& file : *files)
      EXPECT_EQ(difference(decode(stage, file.content), file.pixels), "") << file.name;
}

TEST(Decode, RejectsEveryTruncation) {
  StageHarness stage("decode", kWhole);
  for (const File& file : formats())
    for (std::size_t n = 0; n + 1 < file.content.size(); n += 1 + n / 40)
      EXPECT_NE(outcome(stage, file.content.substr(0, n)), "ok") << file.name << " cut to " << n;
}

// A PNG file whose chunks have the checksums of what they hold now, as far as it can be walked.
std::string with_checksums(std::string png) {
  const auto number = [&](std::size_t at) {
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < 4; ++i) v = v << 8 | static_cast<unsigned char>(png[at + i]);
    return v;
  };
  for (std::uint64_t at = 8; at + 12 <= png.size() && number(at) <= png.size() - at - 12;
       at += 12 + number(at)) {
    const auto* name = reinterpret_cast<const Bytef*>(png.data() + at + 4);
    const std::uint64_t sum = crc32(0, name, static_cast<uInt>(number(at) + 4));
    for (std::uint64_t i = 0; i < 4; ++i)
      png[at + 8 + number(at) + i] = static_cast<char>(sum >> (24 - 8 * i));
  }
  return png;
}

TEST(Decode, SurvivesDamage) {
  StageHarness stage("decode", "{max_pixels: 100000}");
  Random random(3);
  for (int trial = 0; trial < 3000; ++trial) {
    std::string content = formats()[random.below(formats().size())].content;
    for (std::uint64_t i = 0; i <= random.below(4); ++i)
      content[random.below(std::min<std::size_t>(content.size(), random.chance(.5) ? 64 : 1 << 20))] =
          static_cast<char>(random.next());
    if (random.chance(.5)) content = with_checksums(content);
    const std::string got = outcome(stage, content);
    EXPECT_THAT(got.substr(0, got.find(':')), AnyOf("ok", "truncated", "corrupt", "too-large",
                                                    "unsupported-format", "not-an-image", "bad-aspect"))
        << got;
  }
}

TEST(Decode, ResizesTheShorterSideAndCropsTheCentre) {
  const File& file = named("png-rgb");  // 21 x 13
  StageHarness stage("decode", "{resize: 10, crop: 8, filter: bicubic}");
  const Image wanted =
      image::resize(image::Part::whole(file.pixels), {16, 10}, {4, 1, 8, 8}, image::Filter::Bicubic);
  EXPECT_EQ(difference(decode(stage, file.content), wanted), "");
  StageHarness whole("decode", "{resize: 10, crop: null, filter: box}");
  EXPECT_EQ(difference(decode(whole, file.content), image::resize(file.pixels, 16, 10, image::Filter::Box)),
            "");
}

TEST(Decode, PadsWithBlackWhereTheCropIsLarger) {
  const File& file = named("png-rgb");
  StageHarness stage("decode", "{resize: null, crop: 18}");
  const Image got = decode(stage, file.content);
  ASSERT_EQ(got.width, 18);
  ASSERT_EQ(got.height, 18);
  // Rows: 5 are missing, 2 above and 3 below. Columns: round(1.5) = 2 are cut on the left.
  EXPECT_EQ(difference(image::view(got, {0, 2, 18, 13}), image::view(file.pixels, {2, 0, 18, 13})), "");
  for (const int y : {0, 1, 15, 16, 17})
    EXPECT_EQ(std::string(got.row(y), got.row(y) + 54), std::string(54, '\0')) << y;
}

TEST(Decode, TurnsImagesUprightUnlessTold) {
  StageHarness upright("decode", kWhole), as_stored("decode", "{resize: null, crop: null, exif: false}");
  for (const char* name : {"orientation-6", "png-orientation-6", "tiff-orientation-6"}) {
    const Image turned = decode(upright, named(name).content),
                stored = decode(as_stored, named(name).content);
    EXPECT_EQ(turned.width, stored.height) << name;
    EXPECT_EQ(difference(turned, image::upright(stored, 6)), "") << name;
  }
}

TEST(Decode, AbsurdShapesStaySmall) {
  // One column of pixels, scaled up to a strip of which only the crop is made.
  StageHarness stage("decode", "{resize: 4000, crop: 64, max_aspect: 0}");
  const std::string column = "P5 1 30000 255\n" + std::string(30000, '\x40');
  EXPECT_EQ(decode(stage, column).width, 64);
  StageHarness whole("decode", "{resize: 4000, crop: null, max_aspect: 0}");
  EXPECT_EQ(outcome(whole, column),
            "too-large: after resizing the image would have 4000 x 120000000 pixels, more than max_pixels: "
            "64000000");
}

TEST(Decode, LimitsComeBeforeAllocation) {
  StageHarness stage("decode", "{max_pixels: 272, max_bytes: 4000}");
  EXPECT_EQ(outcome(stage, named("png-grey").content),
            "too-large: the image has 21 x 13 pixels, more than max_pixels: 272");
  EXPECT_EQ(outcome(stage, named("420").content),
            "too-large: the image has 29 x 19 pixels, more than max_pixels: 272");
  EXPECT_EQ(outcome(stage, std::string(4001, ' ')),
            "too-large: the file has 4001 bytes, more than max_bytes: 4000");
  // A bomb: 20000 x 20000 in a file of some hundred bytes.
  StageHarness usual("decode");
  std::string bomb = named("png-1bit").content;
  bomb.replace(16, 8, "\0\0\x4e\x20\0\0\x4e\x20"s);
  EXPECT_EQ(outcome(usual, with_checksums(bomb)),
            "too-large: the image has 20000 x 20000 pixels, more than max_pixels: 64000000");
}

// Peak memory of the process in MiB since the last reset (proc(5), clear_refs).
double peak_mib(bool set_back) {
  if (set_back) std::ofstream("/proc/self/clear_refs") << 5;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  return 0;
}

std::string deflated(const std::string& content) {
  uLongf size = compressBound(static_cast<uLong>(content.size()));
  std::string out(size, '\0');
  compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(content.data()),
            static_cast<uLong>(content.size()), 9);
  return out.substr(0, size);
}

std::string number(std::uint64_t v, int bytes) {  // low byte first
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(v >> (8 * i));
  return out;
}

// A tag with its value, or with the offset of several.
struct Tag {
  int id;
  std::uint64_t value;
  std::uint64_t count = 1;
  std::uint64_t type = 4;  // LONG; 3: SHORT
};
std::string directory(const std::vector<Tag>& tags, std::uint64_t next) {
  std::string out = number(tags.size(), 2);
  for (const Tag& t : tags)
    out += number(static_cast<std::uint64_t>(t.id), 2) + number(t.type, 2) + number(t.count, 4) +
           number(t.value, 4);
  return out + number(next, 4);
}

// A TIFF file of one pixel in a tile of `width` x 1 pixels, which is that of all planes.
std::string wide_tile(std::uint64_t width, std::uint64_t compression, std::uint64_t photometric,
                      std::uint64_t bits, std::uint64_t planes, const std::string& data) {
  constexpr std::size_t kOffsets = 8, kCounts = 40, kData = 72;
  std::string out = "II*\0"s + number(kData + data.size(), 4);
  for (int i = 0; i < 8; ++i) out += number(kData, 4);
  for (int i = 0; i < 8; ++i) out += number(data.size(), 4);
  const auto array = [&](int id, std::uint64_t at, std::uint64_t one) {
    return planes > 1 ? Tag{id, at, planes} : Tag{id, one};
  };
  return out + data +
         directory({{256, 1},
                    {257, 1},
                    {258, bits},
                    {259, compression},
                    {262, photometric},
                    {277, planes},
                    {284, 2},
                    {322, width},
                    {323, 1},
                    array(324, kOffsets, kData),
                    array(325, kCounts, data.size()),
                    {530, 0x10001, 2, 3}},
                   0);
}

TEST(Decode, TilesFarWiderThanTheImageTakeLittleMemory) {
  enum : std::uint64_t { None = 1, Fax4 = 4, Deflate = 8, Black = 1, YCbCr = 6 };
  StageHarness stage("decode", kWhole);
  const std::string wide = wide_tile(1 << 25, Deflate, Black, 1, 8, deflated(std::string(1 << 22, '\xff')));
  [[maybe_unused]] const double before = peak_mib(true);
  EXPECT_EQ(outcome(stage, wide), "ok");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(peak_mib(false) - before, 100);  // 32 of the tiles and a few of libtiff
#endif
  EXPECT_EQ(decode(stage, wide).row(0)[0], 255);
  // The limit is one of all planes together, and of what libtiff needs to decode them.
  EXPECT_EQ(outcome(stage, wide_tile(1 << 27, None, Black, 1, 8, "x")),
            "too-large: the TIFF file has tiles of 134217728 x 1 pixels");
  const std::string fax = wide_tile(1 << 25, Fax4, Black, 1, 1, "x"),
                    ycc = wide_tile(65 << 20, Deflate, YCbCr, 8, 3, std::string(1 << 17, 'x'));
  for (const std::string& file : {fax, ycc})
    EXPECT_THAT(
        outcome(stage, file),
        HasSubstr(
            "too-large: the TIFF file cannot be decoded within the memory limit (Memory allocation of"));
}

TEST(Decode, TiffPagesMayLinkInACircleButNotShareTheirStrips) {
  constexpr std::uint64_t kRows = 1000, kOffsets = 8, kCounts = kOffsets + 4 * kRows,
                          kPixels = kCounts + 4 * kRows, kPage = kPixels + kRows;
  const std::vector<Tag> page = {{256, 1}, {257, kRows}, {258, 8},
                                 {259, 1}, {262, 1},     {273, kOffsets, kRows},
                                 {277, 1}, {278, 1},     {279, kCounts, kRows}};
  std::string start = "II*\0"s + number(kPage, 4);
  for (std::uint64_t i = 0; i < kRows; ++i) start += number(kPixels + i, 4);
  for (std::uint64_t i = 0; i < kRows; ++i) start += number(1, 4);
  for (std::uint64_t i = 0; i < kRows; ++i) start += static_cast<char>(i);
  StageHarness stage("decode", "{resize: null, crop: null, max_aspect: 0}");
  // Pillow takes a repeated page as the end.
  const Image got = decode(stage, start + directory(page, kPage));
  ASSERT_EQ(got.height, static_cast<int>(kRows));
  for (int y = 0; y < got.height; ++y) EXPECT_EQ(got.row(y)[0], y & 255);

  const std::size_t size = directory(page, 0).size();
  const auto pages = [&](std::size_t n, const std::vector<Tag>& later) {
    std::string out = start + directory(page, kPage + size);
    for (std::size_t i = 2; i <= n; ++i)
      out += directory(later, i == n ? 0 : out.size() + directory(later, 0).size());
    return out;
  };
  EXPECT_EQ(outcome(stage, pages(300, {{256, 1}, {257, 1}, {273, kPixels}, {279, 1}})), "ok");
  EXPECT_EQ(outcome(stage, pages(300, page)), "corrupt: the TIFF file is damaged: its pages overlap");
}

// A PNG file with a chunk for each of `texts`, after its header.
std::string with_texts(const std::string& name, const std::vector<std::string>& texts) {
  constexpr std::size_t kBehindHeader = 33;
  std::string chunks;
  for (const std::string& text : texts) {
    const std::string size = number(text.size(), 4);
    chunks += std::string(size.rbegin(), size.rend()) + name + text + "crc.";
  }
  return with_checksums(std::string(named("png-rgb").content).insert(kBehindHeader, chunks));
}

TEST(Decode, TextsOfAPngFileThatAreNotCompressedMayBeLong) {
  // XMP may list every edit of an image. Pillow finds the orientation, too.
  const std::string xmp = "<x tiff:Orientation=\"6\">" + std::string(3 << 19, ' ');
  StageHarness stage("decode", kWhole);
  const Image wanted = image::upright(named("png-rgb").pixels, 6);
  EXPECT_EQ(difference(decode(stage, with_texts("tEXt", {"XML:com.adobe.xmp\0"s + xmp})), wanted), "");
  EXPECT_EQ(difference(decode(stage, with_texts("iTXt", {"XML:com.adobe.xmp\0\0\0\0\0"s + xmp})), wanted),
            "");
}

TEST(Decode, CompressedTextsOfAPngFileHaveALimitTogether) {
  StageHarness stage("decode", kWhole);
  const auto texts = [](std::size_t n, const std::string& compressed, const std::string& last) {
    const std::string keyword = "XML:com.adobe.xmp\0\0"s;
    std::vector<std::string> out(n, keyword + compressed);
    out.back() = keyword + last;
    return with_texts("zTXt", out);
  };
  const std::string long_text = deflated(std::string(1 << 20, 'x'));
  std::string turned = "<x tiff:Orientation=\"6\">";
  turned.resize(1 << 20, ' ');
  const std::string reject =
      "too-large: the PNG file has texts of more than 64 MiB when they are decompressed; save it without "
      "them";
  EXPECT_EQ(difference(decode(stage, texts(64, long_text, deflated(turned))),
                       image::upright(named("png-rgb").pixels, 6)),
            "");
  EXPECT_EQ(outcome(stage, texts(65, long_text, deflated("x"))), reject);
  EXPECT_EQ(outcome(stage, texts(2000, long_text, long_text)), reject);
  // Text with a wrong checksum takes as long.
  std::string damaged = long_text;
  damaged.back() ^= 1;
  EXPECT_EQ(outcome(stage, texts(2000, damaged, damaged)), reject);
}

TEST(Decode, RejectsOddShapes) {
  const auto strip = [](int width, int height) {
    return "P5 " + std::to_string(width) + " " + std::to_string(height) + " 255\n" +
           std::string(static_cast<std::size_t>(width * height), 'x');
  };
  StageHarness stage("decode"), all("decode", "{max_aspect: 0}"),
      few("decode", "{max_aspect: 1.5, min_side: 13}");
  EXPECT_EQ(outcome(stage, strip(3, 300)), "ok");
  EXPECT_EQ(outcome(stage, strip(3, 301)),
            "bad-aspect: the image has 3 x 301 pixels, a longer side of more than max_aspect times the "
            "shorter: 100.0");
  EXPECT_EQ(outcome(all, strip(3, 301)), "ok");
  EXPECT_EQ(outcome(few, strip(19, 13)), "ok");
  EXPECT_EQ(outcome(few, strip(20, 13)),
            "bad-aspect: the image has 20 x 13 pixels, a longer side of more than max_aspect times the "
            "shorter: 1.5");
  EXPECT_EQ(outcome(few, strip(40, 12)),
            "too-small: the image has 40 x 12 pixels, a side of less than min_side: 13");
  EXPECT_EQ(outcome(few, named("420").content),
            "bad-aspect: the image has 29 x 19 pixels, a longer side of more than max_aspect times the "
            "shorter: 1.5");
}

TEST(Decode, ChecksTheChecksumsOfPng) {
  StageHarness stage("decode");
  std::string png = named("png-rgb").content;
  png[png.find("IDAT") + 20] ^= 4;
  EXPECT_EQ(outcome(stage, png),
            "corrupt: the PNG file is damaged: the checksum of its chunk IDAT at byte 33 is wrong; copy or "
            "download it "
            "again");
  std::string header = named("png-rgb").content;
  header[24] = 3;  // bits per sample
  EXPECT_EQ(outcome(stage, with_checksums(header)),
            "corrupt: the PNG file is damaged: its header says colour type 2 with 3 bits, or a compression, "
            "filter or "
            "interlacing that PNG does not have");
}

TEST(Decode, FitsFilesAsTorchvisionDoes) {
  for (const auto& f : image::fixtures::fittings(kPlugins + "pixels/lib/image/testdata/fit.bin")) {
    StageHarness stage("decode", f.params);
    ASSERT_EQ(stage.as<Transform>().views(), f.views.size()) << f.params;
    const std::string file = "P6 " + std::to_string(f.source.width) + " " + std::to_string(f.source.height) +
                             " 255\n" + std::string(f.source.data, f.source.data + f.source.bytes());
    for (std::uint32_t view = 0; view < f.views.size(); ++view)
      EXPECT_EQ(
          difference(std::get<Image>(stage.apply(StageHarness::bytes(file), "item", view)), f.views[view]),
          "")
          << f.params << ", view " << view;
  }
}

// Shapes with soft and hard edges and a little grain: as compressible as a photograph.
Image photograph(std::uint64_t seed, int width, int height) {
  Random random(seed);
  Image out = Image::allocate(width, height);
  double wave[3][3];
  for (auto& w : wave)
    w[0] = random.uniform(.005, .02), w[1] = random.uniform(.005, .02), w[2] = random.uniform(0, 6);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) {
        const bool disc = std::hypot(x % 160 - 80, y % 120 - 60) < 40;
        const double v = 120 + 70 * std::sin(wave[c][0] * x + wave[c][1] * y + wave[c][2]) + (disc ? 40 : 0) +
                         4 * random.normal();
        out.row(y)[3 * x + c] = static_cast<std::uint8_t>(std::clamp(v, 0.0, 255.0));
      }
  return out;
}

double mean_difference(const Image& a, const Image& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.bytes(); ++i) sum += std::abs(a.data[i] - b.data[i]);
  return sum / static_cast<double>(a.bytes());
}

TEST(Decode, MakesOfAJpegFileOnlyWhatTheCropNeeds) {
  for (const char* params :
       {"resize: 96, crop: 64", "resize: 40, crop: 40, filter: lanczos", "resize: null, crop: 70",
        "resize: 96, crop: 64, crops: ten", "resize: [90, 60], fit: letterbox, crop: 50, pad: 9"}) {
    StageHarness decoder("decode", "{"s + params + "}"), whole("decode", kWhole),
        fit("resize", "{"s + params + "}");
    for (const int factor : {1, 2}) {
      const std::string file =
          image::fixtures::encode_jpeg(photograph(5, 233, 158), {.h = factor, .v = factor});
      const Image all = decode(whole, file);
      for (std::uint32_t view = 0; view < decoder.as<Transform>().views(); ++view)
        EXPECT_EQ(difference(std::get<Image>(decoder.apply(StageHarness::bytes(file), "item", view)),
                             std::get<Image>(fit.apply(all, "item", view))),
                  "")
            << params << ", view " << view;
    }
  }
}

TEST(Decode, FastIsNearTheExactPixels) {
  double largest = 0;
  for (const char* params : {"resize: 256, crop: 224", "resize: 64, crop: 64", "resize: 128, crop: null",
                             "resize: 400, crop: 224"}) {
    StageHarness exact("decode", "{"s + params + "}"), fast("decode", "{fast: true, "s + params + "}");
    for (const int factor : {1, 2}) {
      const std::string file =
          image::fixtures::encode_jpeg(photograph(3, 801, 603), {.h = factor, .v = factor, .quality = 90});
      const Image a = decode(exact, file), b = decode(fast, file);
      ASSERT_EQ(a.width, b.width);
      ASSERT_EQ(a.height, b.height);
      EXPECT_GT(mean_difference(a, b), 0) << params;
      largest = std::max(largest, mean_difference(a, b));
    }
  }
  EXPECT_LT(largest, kFastBound);
}

TEST(Decode, ANetworkStandsForWhatItWasTrainedOn) {
  const std::string file = image::fixtures::encode_jpeg(photograph(5, 341, 289), {});
  const std::pair<std::string, std::string> cases[] = {
      {"network: resnet18", "resize: 256, crop: 224, filter: bilinear"},
      {"network: efficientnet_b0", "resize: 256, crop: 224, filter: bicubic"},
      {"network: resnet20", "resize: 32, crop: 32, filter: bilinear"},
      {"network: efficientnet_b0, resize: 240", "resize: 240, crop: 224, filter: bicubic"},
      {"network: efficientnet_b0, crop: null", "resize: 256, crop: null, filter: bicubic"},
      {"network: efficientnet_b0, filter: box", "resize: 256, crop: 224, filter: box"},
      {"network: null", "resize: 256, crop: 224, filter: bilinear"},
  };
  for (const auto& [network, sizes] : cases) {
    StageHarness by_network("decode", "{" + network + "}"), by_size("decode", "{" + sizes + "}");
    EXPECT_EQ(difference(decode(by_network, file), decode(by_size, file)), "") << network;
    EXPECT_THAT(by_network.warnings(), ::testing::IsEmpty());
  }
}

TEST(Decode, NamesWhatItCannotRead) {
  StageHarness stage("decode");
  EXPECT_EQ(outcome(stage, ""), "empty-file: the file has 0 bytes; copy or download it again");
  EXPECT_EQ(
      outcome(stage, "GIF89a\1\0\1\0\0\0\0;"s),
      "unsupported-format: a GIF image is not read; convert it to one of JPEG, PNG, WebP, BMP, TIFF, PNM, or "
      "remove it");
  EXPECT_THAT(outcome(stage, "<html><body>404</body></html>"), HasSubstr("not-an-image: "));
  const std::string& png = named("png-rgb").content;
  EXPECT_EQ(outcome(stage, png.substr(0, png.size() - 20)),
            "truncated: the PNG file ends early: it has no end mark (IEND); copy or download it again");
  EXPECT_THROW(stage.apply(StageHarness::image(4, 4, {1, 2, 3})), Reject);
}

TEST(Decode, ChecksItsParameters) {
  const auto fault = [](const std::string& params) {
    try {
      StageHarness stage("decode", params);
      return "ok"s;
    } catch (const Error& e) {
      return std::string(e.what());
    }
  };
  EXPECT_THAT(fault("{resize: [3, 4]}"), HasSubstr("write resize: 3, or fit: stretch or letterbox"));
  EXPECT_THAT(fault("{crop: 0}"), HasSubstr("crop: 0 is out of range: expected from 1 to 16384 px"));
  EXPECT_THAT(fault("{filter: bicubik}"),
              HasSubstr("did you mean 'bicubic'? (allowed: box, bilinear, bicubic, lanczos)"));
  EXPECT_THAT(fault("{sise: 3}"), HasSubstr("unknown parameter 'sise'"));
  EXPECT_EQ(fault("{resize: null, crop: null}"), "ok");
  std::string known;
  for (const std::string& name : preprocessing::network_names()) known += (known.empty() ? "" : ", ") + name;
  EXPECT_EQ(fault("{network: resnet81}"),
            "network: 'resnet81' is not allowed here; did you mean 'resnet18'? (allowed: " + known + ")");
  EXPECT_EQ(fault("{network: ./nowhere.pth}"), "network: no such file or folder: ./nowhere.pth");
}

TEST(Decode, GivesTheSamePixelsOnAnyThread) {
  StageHarness stage("decode", "{resize: 17, crop: 16}");
  const std::size_t n = formats().size();
  std::vector<Image> alone, together(4 * n);
  for (const File& file : formats()) alone.push_back(decode(stage, file.content));
  testing::Threads(4).for_each(together.size(), [&](std::size_t i) {
    Item item;
    item.entry = std::make_shared<Entry>();
    item.payload = StageHarness::bytes(formats()[i % n].content);
    together[i] = std::get<Image>(stage.as<Transform>().apply(item));
  });
  for (std::size_t i = 0; i < together.size(); ++i) EXPECT_EQ(difference(together[i], alone[i % n]), "");
}

TEST(Decode, RealPhotographs) {
  const char* data = std::getenv("GRAFT_DATA");
  const std::filesystem::path folder = std::filesystem::path(data ? data : "") / "hymenoptera";
  if (data == nullptr || !std::filesystem::is_directory(folder))
    GTEST_SKIP() << "set GRAFT_DATA to the folder with hymenoptera (missing " << folder.string() << ")";
  StageHarness stage("decode");
  int ok = 0;
  std::vector<std::string> rejected;
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder)) {
    if (!file.is_regular_file()) continue;
    std::ifstream in(file.path(), std::ios::binary);
    const std::string got = outcome(stage, std::string(std::istreambuf_iterator<char>(in), {}));
    if (got == "ok")
      ++ok;
    else
      rejected.push_back(file.path().filename().string() + ": " + got);
  }
  EXPECT_EQ(ok, 397);
  EXPECT_THAT(rejected,
              ::testing::ElementsAre(HasSubstr("imageNotFound.gif: unsupported-format: a GIF image")));
}

}  // namespace
}  // namespace graft
