#include <image/png_chunks.h>

#include <cstring>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <zlib.h>

#include <graft/error.h>

#include <image/exif.h>
#include <image/png_text.h>

namespace graft::image {
namespace {

using namespace std::string_view_literals;

constexpr std::uint64_t kSignature = 8;
constexpr std::uint32_t kHeaderLength = 13;

[[noreturn]] void truncated(const std::string& why) {
  throw Reject("truncated", "the PNG file ends early: " + why + "; copy or download it again");
}

[[noreturn]] void corrupt(const std::string& why) {
  throw Reject("corrupt", "the PNG file is damaged: " + why);
}

// Length, name of four letters, data, checksum of name and data.
struct Chunk {
  std::uint64_t at = 0;  // of the length
  std::uint32_t length = 0;

  std::uint64_t name() const { return at + 4; }
  std::uint64_t data() const { return at + 8; }
  std::uint64_t size() const { return std::uint64_t{12} + length; }
};

Chunk chunk_at(const ByteReader& in, std::uint64_t at) {
  const auto length = in.u32(at);
  if (!length || !in.has(at, 12) || !in.has(at + 12, *length)) truncated("it has no end mark (IEND)");
  return {at, *length};
}

void check_sum(const ByteReader& in, const Chunk& chunk) {
  const ByteReader summed = in.part(chunk.name(), std::uint64_t{4} + chunk.length);
  if (crc32(0, summed.data(), static_cast<uInt>(summed.size())) == *in.u32(chunk.data() + chunk.length))
    return;
  std::string name;
  for (std::uint64_t i = 0; i < 4; ++i) {
    const auto c = static_cast<char>(*in.u8(chunk.name() + i));
    name += (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ? c : '?';
  }
  corrupt("the checksum of its chunk " + name + " at byte " + std::to_string(chunk.at) +
          " is wrong; copy or download it again");
}

// Bit depths of each colour type (PNG specification, 11.2.2), as a set of bits.
bool allowed(std::uint32_t depth, std::uint32_t colour) {
  constexpr std::uint32_t kDepths[] = {1 | 2 | 4 | 8 | 16, 0, 8 | 16, 1 | 2 | 4 | 8, 8 | 16, 0, 8 | 16};
  const bool power = depth != 0 && (depth & (depth - 1)) == 0;
  return power && colour < std::size(kDepths) && (kDepths[colour] & depth) != 0;
}

// Where the orientation of a PNG file may be. In the order of Pillow's: an eXIf chunk; without one the text
// in which ImageMagick kept EXIF before that chunk existed; XMP where those name no orientation.
class OrientationChunks {
 public:
  void look_at(const ByteReader& in, const Chunk& chunk) {
    const ByteReader data = in.part(chunk.data(), chunk.length);
    if (in.starts_with("eXIf", chunk.name())) {
      exif_ = exif_orientation(data);
      has_exif_ = true;
    }
    for (const std::string_view name : {"tEXt", "zTXt", "iTXt"}) {
      if (!in.starts_with(name, chunk.name())) continue;
      if (!data.starts_with("Raw profile type exif\0"sv) && !data.starts_with("XML:com.adobe.xmp\0"sv))
        continue;
      const auto [keyword, text] = png_text(name, data, budget_);
      if (keyword.starts_with("Raw")) {
        const std::string block = raw_profile(text);
        profile_ = exif_orientation({reinterpret_cast<const std::uint8_t*>(block.data()), block.size()});
      } else if (keyword.starts_with("XML")) {
        xmp_ = xmp_orientation(text);
      }
    }
  }
  int orientation() const {
    const std::optional<int> exif = has_exif_ ? exif_ : profile_;
    return exif ? *exif : xmp_.value_or(1);
  }

 private:
  std::uint64_t budget_ = kMaxTexts;
  bool has_exif_ = false;
  std::optional<int> exif_, profile_, xmp_;
};

}  // namespace

Header png_header(const ByteReader& file) {
  Header header{Format::Png};
  if (!file.starts_with("\x89PNG\r\n\x1a\n"sv)) {
    if (file.size() < kSignature) truncated("its header is incomplete");
    corrupt("its first bytes were changed, as a transfer in text mode does");
  }
  const ByteReader in = file.with_order(true);
  OrientationChunks orientation;
  for (std::uint64_t at = kSignature;;) {
    const Chunk chunk = chunk_at(in, at);
    const bool first = at == kSignature;
    if (first && (!in.starts_with("IHDR", chunk.name()) || chunk.length != kHeaderLength))
      corrupt("it does not begin with IHDR");
    check_sum(in, chunk);
    if (first) {
      header.width = *in.u32(chunk.data());
      header.height = *in.u32(chunk.data() + 4);
      const std::uint32_t depth = *in.u8(chunk.data() + 8), colour = *in.u8(chunk.data() + 9);
      if (!allowed(depth, colour) || *in.u8(chunk.data() + 10) != 0 || *in.u8(chunk.data() + 11) != 0 ||
          *in.u8(chunk.data() + 12) > 1)
        corrupt("its header says colour type " + std::to_string(colour) + " with " + std::to_string(depth) +
                " bits, or a compression, filter or interlacing that PNG does not have");
    }
    orientation.look_at(in, chunk);
    if (in.starts_with("IEND", chunk.name())) {
      header.orientation = orientation.orientation();
      return header;
    }
    at += chunk.size();
  }
}

PngPixels png_pixels(const Bytes& bytes) {
  const ByteReader in(bytes, true);
  std::vector<std::uint8_t> file(bytes.size);
  std::memcpy(file.data(), bytes.data, kSignature);
  std::size_t size = kSignature;
  ByteReader transparency = in.part(0, 0);
  for (std::uint64_t at = kSignature;;) {
    const Chunk chunk = chunk_at(in, at);
    if (in.starts_with("tRNS", chunk.name())) transparency = in.part(chunk.data(), chunk.length);
    for (const auto name : {"IHDR", "PLTE", "IDAT", "IEND"}) {
      if (!in.starts_with(name, chunk.name())) continue;
      std::memcpy(file.data() + size, bytes.data + at, chunk.size());
      size += chunk.size();
    }
    if (in.starts_with("IEND", chunk.name())) break;
    at += chunk.size();
  }
  file.resize(size);
  return {std::move(file), transparency};
}

}  // namespace graft::image
