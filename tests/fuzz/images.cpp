#include <array>
#include <cstring>
#include <memory>

#include <zlib.h>

#include <graft/payload.h>
#include <graft/testing/stage_harness.h>
#include <image/exif.h>
#include <image/png_text.h>
#include <image/sniff.h>
#include <image/testing/fixtures.h>

#include "fuzz.h"

namespace graft::fuzz {
namespace {

using testing::StageHarness;

Bytes bytes_of(std::string_view input) {
  auto owner = std::make_shared<const std::string>(input);
  return {owner, reinterpret_cast<const std::uint8_t*>(owner->data()), owner->size()};
}

// Whole images, and of JPEG files the middle alone, at a part of their size.
void decode(std::string_view input) {
  static auto& whole = *new StageHarness("decode", "{max_pixels: 1000000}");
  static auto& fast =
      *new StageHarness("decode", "{resize: 24, crop: 16, crops: five, fast: true, max_pixels: 1000000}");
  const Bytes bytes = bytes_of(input);
  try {
    whole.apply(bytes);
  } catch (const Reject&) {
  }
  fast.apply(bytes, "item", 1);
}

// A mutation hardly ever hits the checksum of the chunk that it changes: they are put right.
std::string with_png_checksums(std::string_view input) {
  std::string out(input);
  for (std::size_t at = 8; at + 12 <= out.size();) {
    std::size_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(out[at + i]);
    if (size > out.size() - at - 12) break;
    const auto crc =
        ::crc32(0, reinterpret_cast<const Bytef*>(out.data() + at + 4), static_cast<uInt>(size + 4));
    for (std::size_t i = 0; i < 4; ++i) out[at + 8 + size + i] = static_cast<char>(crc >> (24 - 8 * i));
    at += 12 + size;
  }
  return out;
}

void decode_png(std::string_view input) {
  decode(with_png_checksums(input));
}

void sniff(std::string_view input) {
  image::sniff(bytes_of(input));
}

// What cameras and editors note beside the pixels.
void notes(std::string_view input) {
  Pieces in(input);
  const auto kind = in.number(1);
  const std::string_view rest = in.rest();
  const image::ByteReader reader(reinterpret_cast<const std::uint8_t*>(rest.data()), rest.size(),
                                 (kind & 8) != 0);
  if (kind % 8 == 0) image::exif_orientation(reader);
  if (kind % 8 == 1) image::xmp_orientation(rest);
  if (kind % 8 == 2) image::raw_profile(rest);
  static constexpr std::array<std::string_view, 3> kChunks = {"tEXt", "zTXt", "iTXt"};
  if (kind % 8 > 2 && kind % 8 < 6) {
    std::uint64_t budget = image::kMaxTexts;
    image::png_text(kChunks[kind % 8 - 3], reader, budget);
  }
}

std::vector<std::string> files(std::string_view magic, std::size_t at = 0) {
  std::vector<std::string> out;
  for (const char* path :
       {"decode/testdata/formats.bin", "lib/image/testdata/jpeg.bin", "decode/testdata/pixel_matrix.bin"})
    for (const auto& file :
         image::fixtures::files(std::string(GRAFT_FUZZ_SOURCE_DIR "/plugins/pixels/") + path))
      if (file.content.size() >= at + magic.size() && file.content.size() <= 4096 &&
          file.content.compare(at, magic.size(), magic) == 0)
        out.push_back(file.content);
  return out;
}

std::string chunk(const std::string& name, const std::string& data) {
  const std::string size = little_endian(data.size(), 4);
  return std::string(size.rbegin(), size.rend()) + name + data + "0000";
}

std::string png_with(const std::string& name, const std::string& data, std::size_t bytes) {
  const std::string small = files("\x89PNG").front();
  std::string out = small.substr(0, 33);
  while (out.size() < bytes) out += chunk(name, data);
  return out + small.substr(33);
}

std::string deflated(std::size_t bytes) {
  const std::string plain(bytes, 'x');
  std::string out(::compressBound(bytes), '\0');
  uLongf size = out.size();
  ::compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(plain.data()),
             bytes);
  out.resize(size);
  return out;
}

std::string grown_png(std::size_t bytes) {
  return with_png_checksums(png_with("zTXt", std::string("Comment\0\0", 9) + deflated(900'000), bytes));
}

// A progressive image, of which every scan tells nothing.
std::string grown_jpeg(std::size_t bytes) {
  std::string out("\xff\xd8\xff\xc2\x00\x0b\x08\x02\x00\x02\x00\x01\x01\x11\x00", 15);
  out += std::string("\xff\xdb\x00\x43\x00", 5) + std::string(64, '\1');
  out += std::string("\xff\xc4\x00\x14\x00\x01", 6) + std::string(15, '\0') + '\0';
  while (out.size() < bytes) out += std::string("\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00", 10) + "\x3f";
  return out + "\xff\xd9";
}

std::string grown_pnm(std::size_t bytes) {
  return "P2 1000 1000 255 " + repeated("#\n", bytes);
}

std::vector<std::string> all_files() {
  std::vector<std::string> out;
  for (const std::string_view magic : {"\xff\xd8", "\x89PNG", "RIFF", "BM", "II*", "MM", "P1", "P6"})
    if (auto some = files(magic); !some.empty()) out.push_back(some.front());
  for (const char* other : {"GIF89a\1\0\1\0\0\0\0", "<?xml version='1.0'?><svg/>", "%PDF-1.4\n", "8BPS\0\1"})
    out.emplace_back(other);
  return out;
}

std::vector<std::string> pnm_files() {
  std::vector<std::string> out;
  for (const char* magic : {"P1", "P2", "P3", "P4", "P5", "P6"})
    for (std::string& file : files(magic)) out.push_back(std::move(file));
  return out;
}

std::vector<std::string> tiff_files() {
  std::vector<std::string> out = files("II*");
  for (std::string& file : files(std::string_view("MM\0*", 4))) out.push_back(std::move(file));
  return out;
}

std::string grown_tiff(std::size_t bytes) {
  return repeated("II*\0\x8\0\0\0\1\0\0\1\4\0\1\0\0\0\1\0\0\0", bytes);
}

std::vector<std::string> note_seeds() {
  const std::string exif("II*\0\x8\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0", 26);
  return {std::string(1, '\0') + exif,
          std::string(1, '\0') + std::string("Exif\0\0", 6) + exif,
          "\1<x:xmpmeta><rdf:Description tiff:Orientation=\"6\"/></x:xmpmeta>",
          "\1<tiff:Orientation>8</tiff:Orientation>",
          "\2\nexif\n   4\n49492a00\n",
          std::string("\3Comment\0hello", 14),
          std::string("\4Comment\0\0", 10) + deflated(100),
          std::string("\5Comment\0\1\0en\0Kommentar\0\0", 25) + deflated(100)};
}

}  // namespace

std::vector<Target> image_targets() {
  return {
      {"sniff", sniff, all_files},
      {"jpeg", decode, [] { return files("\xff\xd8"); }, grown_jpeg},
      {"png", decode_png, [] { return files("\x89PNG"); }, grown_png},
      {"tiff", decode, tiff_files, grown_tiff},
      {"webp", decode, [] { return files("RIFF"); }},
      {"bmp", decode, [] { return files("BM"); }},
      {"pnm", decode, pnm_files, grown_pnm},
      {"image_notes", notes, note_seeds,
       [](std::size_t bytes) { return "\1" + repeated("<tiff:Orientation", bytes); }},
  };
}

}  // namespace graft::fuzz
