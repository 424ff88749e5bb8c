#include "tiff_header.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include <image/exif.h>
#include <image/reject.h>

namespace graft::image {
namespace {

enum class Tag : std::uint32_t {
  Width = 256,
  Height = 257,
  Bits = 258,
  Compression = 259,
  Photometric = 262,
  StripOffsets = 273,
  Samples = 277,
  StripCounts = 279,
  ColourMap = 320,
  TileOffsets = 324,
  TileCounts = 325,
  InkSet = 332,
  SampleFormat = 339,
};

constexpr std::uint32_t kMaxSamples = 8, kOldJpeg = 6, kShort = 3;

[[noreturn]] void truncated() {
  reject_truncated(Format::Tiff, "its directory or pixels lie beyond its end");
}

// One entry of a directory: an array of 16- or 32-bit numbers.
class Field {
 public:
  Field(const ByteReader& in, std::uint64_t at) : in_(in) {
    const auto type = in.u16(at + 2), count = in.u32(at + 4), inline_or_offset = in.u32(at + 8);
    if (!type || !count || !inline_or_offset) truncated();
    width_ = *type == 1 ? 1 : *type == kShort ? 2 : 4;
    count_ = *count;
    start_ = std::uint64_t{width_} * count_ <= 4 ? at + 8 : *inline_or_offset;
  }
  std::uint32_t count() const { return count_; }
  bool is_short() const { return width_ == 2; }
  std::uint32_t operator[](std::uint64_t i) const {
    const std::uint64_t at = start_ + i * width_;
    const auto v = width_ == 1 ? in_.u8(at) : width_ == 2 ? in_.u16(at) : in_.u32(at);
    if (!v || i >= count_) truncated();
    return *v;
  }

 private:
  const ByteReader& in_;
  std::uint32_t width_ = 4, count_ = 0;
  std::uint64_t start_ = 0;
};

class Directory {
 public:
  // `link` is where the offset of the directory is written.
  Directory(const ByteReader& in, std::uint64_t link) : in_(in) {
    const auto at = in.u32(link);
    if (!at || !in.u16(*at)) truncated();
    first_ = std::uint64_t{*at} + 2;
    entries_ = *in.u16(*at);
    if (!in.has(next_link(), 4)) truncated();
  }
  std::uint64_t at() const { return first_ - 2; }
  std::uint32_t entries() const { return entries_; }
  std::uint64_t next_link() const { return first_ + std::uint64_t{12} * entries_; }
  std::optional<Field> find(Tag tag) const {
    for (std::uint32_t i = 0; i < entries_; ++i)
      if (in_.u16(first_ + std::uint64_t{12} * i) == static_cast<std::uint32_t>(tag))
        return Field(in_, first_ + std::uint64_t{12} * i);
    return {};
  }
  std::uint32_t number(Tag tag, std::uint32_t otherwise) const {
    const auto field = find(tag);
    return field ? (*field)[0] : otherwise;
  }

 private:
  const ByteReader& in_;
  std::uint64_t first_ = 0;
  std::uint32_t entries_ = 0;
};

class Pages {
 public:
  explicit Pages(const ByteReader& in) : in_(in), left_(in.size()) {}

  void check() {
    constexpr std::size_t kMaxPages = 10'000;
    std::set<std::uint64_t> seen;
    for (std::uint64_t link = 4; in_.u32(link).value_or(0) != 0;) {
      const Directory page(in_, link);
      if (!seen.insert(page.at()).second) return;  // links in a circle: the last page, as in Pillow
      if (seen.size() > kMaxPages)
        reject_corrupt(Format::Tiff, "it has more than " + std::to_string(kMaxPages) + " pages");
      look_at(page.entries());
      check_pieces(page, Tag::StripOffsets, Tag::StripCounts);
      check_pieces(page, Tag::TileOffsets, Tag::TileCounts);
      link = page.next_link();
    }
  }

 private:
  void check_pieces(const Directory& page, Tag offsets_tag, Tag counts_tag) {
    const auto offsets = page.find(offsets_tag), counts = page.find(counts_tag);
    if (!offsets || !counts) return;
    const std::uint32_t n = std::min(offsets->count(), counts->count());
    // From the last one on: if the file was truncated, the last is missing.
    for (std::uint32_t i = n; i-- > 0;) {
      if (!in_.has((*offsets)[i], (*counts)[i])) truncated();
      look_at(1);
    }
  }
  // Each entry and piece takes some bytes of the file, unless pages share them to cost time.
  void look_at(std::uint64_t n) {
    if (n > left_) reject_corrupt(Format::Tiff, "its pages overlap");
    left_ -= n;
  }

  const ByteReader& in_;
  std::uint64_t left_;
};

[[noreturn]] void unsupported_tiff(const std::string& what, const std::string& cure = "save it with 8") {
  reject_unsupported("a TIFF image of " + what, cure);
}

// Every value of `tag`, which has one for each sample.
std::uint32_t same_for_all(const Directory& page, Tag tag, const char* what) {
  const auto field = page.find(tag);
  if (!field) return 1;
  for (std::uint32_t i = 1; i < field->count() && i < kMaxSamples; ++i)
    if ((*field)[i] != (*field)[0]) unsupported_tiff(std::string("samples of different ") + what);
  return (*field)[0];
}

// Of an image without a usable palette libtiff gives the indices, as grey levels.
void check_palette(const Directory& page, std::uint32_t bits) {
  const auto map = page.find(Tag::ColourMap);
  const std::uint32_t wanted = 3u << bits;
  if (!map || map->count() != wanted || !map->is_short())
    reject_corrupt(Format::Tiff, "its palette has " + std::to_string(map ? map->count() : 0) +
                                     " values, expected " + std::to_string(wanted) + " of 16 bits");
  static_cast<void>((*map)[wanted - 1]);  // it lies within the file
}

// What the samples mean, or a reject that names it.
void check_samples(const Directory& page) {
  enum Photometric : std::uint32_t { WhiteIsZero, BlackIsZero, Rgb, Palette, Mask, Cmyk, YCbCr };
  const std::uint32_t bits = same_for_all(page, Tag::Bits, "sizes"), samples = page.number(Tag::Samples, 1),
                      compression = page.number(Tag::Compression, 1);
  switch (same_for_all(page, Tag::SampleFormat, "types")) {
    case 1:
      break;
    case 2:
      unsupported_tiff("signed samples", "save it with unsigned ones of 8 bits");
    case 3:
      unsupported_tiff("floating-point samples", "save it with unsigned ones of 8 bits");
    default:
      unsupported_tiff("samples of an unusual type", "save it with unsigned ones of 8 bits");
  }
  if (bits < 1 || bits > 16) unsupported_tiff(std::to_string(bits) + " bits per sample");
  // Old-style JPEG is always YCbCr; files that say nothing of their samples are taken as Pillow does.
  const std::uint32_t meaning =
      compression == kOldJpeg ? std::uint32_t{YCbCr} : page.number(Tag::Photometric, WhiteIsZero);
  std::uint32_t colours = 1;
  switch (meaning) {
    case WhiteIsZero:
    case BlackIsZero:
      break;
    case Rgb:
      colours = 3;
      break;
    case Palette:
      if (bits > 8) unsupported_tiff(std::to_string(bits) + " bits per sample and a palette");
      check_palette(page, bits);
      break;
    case Cmyk:
      colours = 4;
      if (page.number(Tag::InkSet, 1) != 1) unsupported_tiff("inks that are not CMYK", "save it as RGB");
      break;
    case YCbCr:
      colours = 3;
      if (bits != 8) unsupported_tiff(std::to_string(bits) + " bits per sample and YCbCr colours");
      break;
    case 8:
    case 9:
    case 10:
      unsupported_tiff("CIE L*a*b* colours", "save it as RGB");
    default:
      unsupported_tiff("photometric interpretation " + std::to_string(meaning), "save it as RGB");
  }
  const bool old_jpeg_says_nothing = compression == kOldJpeg && !page.find(Tag::Samples);
  if ((samples < colours && !old_jpeg_says_nothing) || samples > kMaxSamples)
    unsupported_tiff(std::to_string(samples) + " samples per pixel and photometric interpretation " +
                         std::to_string(meaning),
                     "save it as RGB");
}

}  // namespace

Header tiff_header(ByteReader in) {
  in = in.with_order(in.starts_with("MM"));
  Pages(in).check();
  const Directory page(in, 4);
  Header header{Format::Tiff};
  header.width = page.number(Tag::Width, 0);
  header.height = page.number(Tag::Height, 0);
  header.orientation = exif_orientation(in).value_or(1);
  check_samples(page);
  return header;
}

}  // namespace graft::image
