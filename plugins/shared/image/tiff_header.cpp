#include <image/tiff_header.h>

#include <optional>
#include <string>

#include <graft/error.h>

#include <image/exif.h>

namespace graft::image {
namespace {

enum Tag : std::uint32_t {
  kWidth = 256,
  kHeight = 257,
  kBits = 258,
  kPhotometric = 262,
  kStripOffsets = 273,
  kSamples = 277,
  kStripCounts = 279,
  kTileOffsets = 324,
  kTileCounts = 325,
  kExtraSamples = 338,
  kSampleFormat = 339,
};

[[noreturn]] void truncated() {
  throw Reject(
      "truncated",
      "the TIFF file ends early: its directory or pixels lie behind its end; copy or download it again");
}

// One entry of a directory: an array of 16- or 32-bit numbers.
class Field {
 public:
  Field(const ByteReader& in, std::uint64_t at) : in_(in) {
    const auto type = in.u16(at + 2), count = in.u32(at + 4), inline_or_offset = in.u32(at + 8);
    if (!type || !count || !inline_or_offset) truncated();
    width_ = *type == 1 ? 1 : *type == 3 ? 2 : 4;
    count_ = *count;
    start_ = std::uint64_t{width_} * count_ <= 4 ? at + 8 : *inline_or_offset;
  }
  std::uint32_t count() const { return count_; }
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
  std::uint64_t next_link() const { return first_ + std::uint64_t{12} * entries_; }
  std::optional<Field> find(std::uint32_t tag) const {
    for (std::uint32_t i = 0; i < entries_; ++i)
      if (in_.u16(first_ + std::uint64_t{12} * i) == tag) return Field(in_, first_ + std::uint64_t{12} * i);
    return {};
  }
  std::uint32_t number(std::uint32_t tag, std::uint32_t otherwise) const {
    const auto field = find(tag);
    return field ? (*field)[0] : otherwise;
  }

 private:
  const ByteReader& in_;
  std::uint64_t first_ = 0;
  std::uint32_t entries_ = 0;
};

void check_pieces(const ByteReader& in, const Directory& page, std::uint32_t offsets_tag,
                  std::uint32_t counts_tag) {
  const auto offsets = page.find(offsets_tag), counts = page.find(counts_tag);
  if (!offsets || !counts) return;
  for (std::uint32_t i = 0; i < offsets->count() && i < counts->count(); ++i)
    if (!in.has((*offsets)[i], (*counts)[i])) truncated();
}

void check_pages(const ByteReader& in) {
  constexpr int kMaxPages = 10'000;  // links may run in a circle
  std::uint64_t link = 4;
  for (int page = 0; in.u32(link).value_or(0) != 0; ++page) {
    if (page == kMaxPages)
      throw Reject("corrupt", "the TIFF file is damaged: more than " + std::to_string(kMaxPages) + " pages");
    const Directory directory(in, link);
    check_pieces(in, directory, kStripOffsets, kStripCounts);
    check_pieces(in, directory, kTileOffsets, kTileCounts);
    link = directory.next_link();
  }
}

// TIFFReadRGBA, which OpenCV uses for up to 8 bits, multiplies the colours by a straight alpha.
Alpha alpha_of(std::uint32_t extra_sample, std::uint32_t bits) {
  if (extra_sample == 1) return Alpha::Premultiplied;
  if (extra_sample == 2) return bits <= 8 ? Alpha::Premultiplied : Alpha::Straight;
  return Alpha::Ignore;
}

}  // namespace

Header tiff_header(ByteReader in) {
  in = in.with_order(in.starts_with("MM"));
  check_pages(in);
  const Directory page(in, 4);
  Header header{Format::Tiff};
  header.width = page.number(kWidth, 0);
  header.height = page.number(kHeight, 0);
  const Orientation orientation = exif_orientation(in);
  header.orientation = orientation.value;
  header.orientation_at = orientation.at;
  const std::uint32_t bits = page.number(kBits, 1), samples = page.number(kSamples, 1);
  header.alpha = alpha_of(page.number(kExtraSamples, 0), bits);
  if (bits > 16 || page.number(kSampleFormat, 1) != 1 || samples == 2 || samples > 4)
    throw Reject("unsupported-format",
                 "a TIFF image with " + std::to_string(samples) + " samples of " + std::to_string(bits) +
                     " bits is not read; expected 1, 3 or 4 unsigned samples of at most 16 bits");
  if (!page.find(kPhotometric))
    throw Reject(
        "corrupt",
        "the TIFF file is damaged: it does not say what its samples mean (photometric interpretation)");
  // 16-bit pixels come without the conversion that 8-bit ones get; only plain grey and RGB need none.
  const std::uint32_t photometric = page.number(kPhotometric, 1);
  if (bits == 16 && photometric != 1 && photometric != 2)
    throw Reject(
        "unsupported-format",
        "a 16-bit TIFF image that is neither grey (black is zero) nor RGB is not read; save it with 8 bits");
  return header;
}

}  // namespace graft::image
