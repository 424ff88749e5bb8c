#include <image/bmp.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <image/on_white.h>
#include <image/reject.h>

namespace graft::image {
namespace {

constexpr std::uint64_t kFileHeader = 14;
constexpr std::uint32_t kOs2V1 = 12, kInfo = 40, kWithMasks = 52, kWithAlphaMask = 56, kOs2V2 = 64, kV4 = 108,
                        kV5 = 124;

std::uint32_t need(std::optional<std::uint32_t> v) {
  if (!v) reject_truncated(Format::Bmp, "its header is incomplete");
  return *v;
}

[[noreturn]] void unsupported_bmp(const std::string& what) {
  reject_unsupported("a BMP image " + what, "save it with 8, 24 or 32 bits and without compression");
}

void read_masks(const ByteReader& in, std::uint32_t header, BmpInfo& info) {
  // After a header of 40 bytes or within a longer one: the same place. The fourth mask is in the longer
  // ones.
  for (std::size_t i = 0; i < 3; ++i) info.masks[i] = need(in.u32(54 + 4 * i));
  if (header >= kWithAlphaMask && info.bits == 32) info.masks[3] = need(in.u32(66));
  for (const std::uint32_t mask : info.masks) {
    // All bits of a mask are adjacent.
    const std::uint32_t low = mask >> std::countr_zero(mask | 0x80000000u);
    if ((low & (low + 1)) != 0 && mask != 0xffffffffu) unsupported_bmp("whose colour masks have gaps");
  }
}

void read_info(const ByteReader& in, std::uint32_t header, BmpInfo& info) {
  info.width = static_cast<std::int32_t>(need(in.u32(18)));
  const auto height = static_cast<std::int32_t>(need(in.u32(22)));
  info.top_down = height < 0;
  info.height = std::abs(std::int64_t{height});
  info.bits = need(in.u16(28));
  info.colours = need(in.u32(46));
  switch (need(in.u32(30))) {
    case 0:
      break;
    case 1:
      info.coding = BmpInfo::Coding::Rle8;
      break;
    case 2:
      info.coding = BmpInfo::Coding::Rle4;
      break;
    case 3:
      if (header == kOs2V2) unsupported_bmp("with OS/2's Huffman coding");
      if (info.bits != 16 && info.bits != 24 && info.bits != 32)
        unsupported_bmp("with colour masks for " + std::to_string(info.bits) + " bits per pixel");
      read_masks(in, header, info);
      if (info.bits == 32 && info.masks == decltype(info.masks){})
        info.masks = {0xff0000, 0xff00, 0xff, 0xff000000};  // as in Pillow
      if (header == kInfo) info.palette += 12;
      break;
    case 4:
    case 5:
      if (header == kOs2V2) unsupported_bmp("with OS/2's 24-bit run-length coding");
      unsupported_bmp("with embedded JPEG or PNG data");
    default:
      unsupported_bmp("of compression " + std::to_string(need(in.u32(30))));
  }
}

// The masks of pixels that come without.
void usual_masks(BmpInfo& info) {
  const bool none = std::all_of(info.masks.begin(), info.masks.end(), [](auto m) { return m == 0; });
  if (!none) return;
  if (info.bits == 16) info.masks = {0x7c00, 0x3e0, 0x1f, 0};
  if (info.bits >= 24) info.masks = {0xff0000, 0xff00, 0xff, 0};
}

using Colour = std::array<std::uint8_t, 3>;

// Entries that the file lacks are grey levels, as in Pillow.
std::array<Colour, 256> palette(const ByteReader& in, const BmpInfo& info) {
  std::array<Colour, 256> out;
  for (std::uint32_t i = 0; i < 256; ++i) {
    const std::uint64_t at = info.palette + std::uint64_t{info.colour_bytes} * i;
    const auto grey = static_cast<std::uint8_t>(i);
    if (i < info.colours && in.has(at, 3))
      out[i] = {in.data()[at + 2], in.data()[at + 1], in.data()[at]};
    else
      out[i] = {grey, grey, grey};
  }
  return out;
}

// One channel of a pixel of 16 to 32 bits.
struct Channel {
  std::uint32_t mask = 0, largest = 1;
  int shift = 0;

  explicit Channel(std::uint32_t m) : mask(m) {
    if (m == 0) return;
    shift = std::countr_zero(m);
    largest = m >> shift;
  }
  // Truncated, as Pillow has it: 5 bits of 16 become 131, not 132.
  std::uint8_t of(std::uint32_t pixel) const {
    return static_cast<std::uint8_t>(std::uint64_t{(pixel & mask) >> shift} * 255 / largest);
  }
};

void direct_row(const std::uint8_t* from, const BmpInfo& info, const std::array<Channel, 4>& channels,
                std::uint8_t* to) {
  const std::size_t bytes = info.bits / 8;
  const bool alpha = channels[3].mask != 0;
  for (std::int64_t x = 0; x < info.width; ++x, from += bytes, to += 3) {
    std::uint32_t pixel = 0;
    for (std::size_t i = bytes; i > 0; --i) pixel = pixel << 8 | from[i - 1];
    const unsigned opacity = alpha ? channels[3].of(pixel) : 255;
    for (std::size_t c = 0; c < 3; ++c) to[c] = on_white(channels[c].of(pixel), opacity);
  }
}

void bgr_row(const std::uint8_t* from, std::int64_t width, std::size_t bytes, std::uint8_t* to) {
  for (std::int64_t x = 0; x < width; ++x, from += bytes, to += 3) {
    to[0] = from[2];
    to[1] = from[1];
    to[2] = from[0];
  }
}

void palette_row(const std::uint8_t* from, const BmpInfo& info, const std::array<Colour, 256>& colours,
                 std::uint8_t* to) {
  const std::uint32_t mask = (1u << info.bits) - 1;
  for (std::int64_t x = 0; x < info.width; ++x, to += 3) {
    const std::int64_t bit = x * info.bits;
    const std::uint32_t index = from[bit / 8] >> (8 - info.bits - static_cast<std::uint32_t>(bit % 8)) & mask;
    std::memcpy(to, colours[index].data(), 3);
  }
}

// The indices of a run-length coded image, row by row in the order of the file.
class RunLengths {
 public:
  RunLengths(const ByteReader& in, const BmpInfo& info)
      : in_(in),
        four_(info.coding == BmpInfo::Coding::Rle4),
        at_(info.pixels),
        width_(info.width),
        height_(info.height),
        out_(static_cast<std::size_t>(info.width * info.height)) {}

  std::vector<std::uint8_t> decode() {
    while (y_ < height_) {
      const std::uint32_t count = byte(), value = byte();
      if (count > 0)
        run(count, value);
      else if (value == 0)
        x_ = 0, ++y_;
      else if (value == 1)
        break;
      else if (value == 2)
        jump();
      else
        literal(value);
    }
    return std::move(out_);
  }

 private:
  std::uint32_t byte() {
    // Files without an end mark are common; they are complete if all rows are there.
    const auto v = in_.u8(at_);
    if (!v) reject_truncated(Format::Bmp, "its coded pixels end in row " + std::to_string(y_));
    ++at_;
    return *v;
  }
  void put(std::uint32_t index) {
    if (x_ < width_ && y_ < height_)
      out_[static_cast<std::size_t>(y_ * width_ + x_)] = static_cast<std::uint8_t>(index);
    ++x_;
    if (x_ == width_ && y_ + 1 == height_) done_ = true;
  }
  void run(std::uint32_t count, std::uint32_t value) {
    for (std::uint32_t i = 0; i < count; ++i) put(!four_ ? value : i % 2 == 0 ? value >> 4 : value & 15);
    finish();
  }
  void literal(std::uint32_t count) {
    const std::uint64_t start = at_;
    for (std::uint32_t i = 0, v = 0; i < count; ++i) {
      if (!four_ || i % 2 == 0) v = byte();
      put(!four_ ? v : i % 2 == 0 ? v >> 4 : v & 15);
    }
    if ((at_ - start) % 2 != 0) ++at_;  // padded to 16 bits
    finish();
  }
  void jump() {
    x_ += byte();
    y_ += byte();
  }
  // The last pixel ends the image where the marks of the end are missing.
  void finish() {
    if (done_ && !in_.has(at_, 2)) y_ = height_;
  }

  const ByteReader& in_;
  bool four_, done_ = false;
  std::uint64_t at_;
  std::int64_t width_, height_, x_ = 0, y_ = 0;
  std::vector<std::uint8_t> out_;
};

}  // namespace

bool is_bmp(const ByteReader& in) {
  // Two letters prove little: the reserved bytes must be empty, as they should be, or the info header of a
  // size that there is.
  constexpr std::array kHeaders{kOs2V1, kInfo, kWithMasks, kWithAlphaMask, kOs2V2, kV4, kV5};
  return in.starts_with("BM") &&
         (in.u32(6).value_or(0) == 0 ||
          std::find(kHeaders.begin(), kHeaders.end(), in.u32(14).value_or(0)) != kHeaders.end());
}

BmpInfo bmp_info(const ByteReader& in) {
  BmpInfo info;
  const std::uint32_t header = need(in.u32(14));
  info.palette = kFileHeader + header;
  info.pixels = need(in.u32(10));
  switch (header) {
    case kOs2V1:
      info.width = need(in.u16(18));
      info.height = need(in.u16(20));
      info.bits = need(in.u16(24));
      info.colour_bytes = 3;
      break;
    case 16:
      unsupported_bmp("with a short OS/2 header (16 bytes)");
    case kInfo:
    case kWithMasks:
    case kWithAlphaMask:
    case kOs2V2:
    case kV4:
    case kV5:
      read_info(in, header, info);
      break;
    default:
      reject_corrupt(Format::Bmp, "its info header has " + std::to_string(header) + " bytes");
  }
  if (info.bits != 1 && info.bits != 4 && info.bits != 8 && info.bits != 16 && info.bits != 24 &&
      info.bits != 32)
    unsupported_bmp("of " + std::to_string(info.bits) + " bits per pixel");
  if (info.bits <= 8) {
    if (info.colours > 256)
      reject_corrupt(Format::Bmp, "its palette has " + std::to_string(info.colours) + " colours");
    if (info.colours == 0) info.colours = 1u << info.bits;
    // Some writers name the place after the header, where the palette is, as that of the pixels.
    const std::uint64_t end = info.palette + std::uint64_t{info.colour_bytes} * info.colours;
    if (info.pixels == info.palette || info.pixels == 0) info.pixels = end;
  } else if (info.pixels == 0) {
    info.pixels = info.palette;
  }
  usual_masks(info);
  if (info.coding != BmpInfo::Coding::Plain) {
    if (info.bits != (info.coding == BmpInfo::Coding::Rle8 ? 8u : 4u))
      reject_corrupt(Format::Bmp,
                     "its run-length coding does not fit " + std::to_string(info.bits) + " bits per pixel");
    return info;
  }
  if (info.width < 1) return info;
  const std::uint64_t bits = static_cast<std::uint64_t>(info.width) * info.bits;
  info.row_bytes = (bits + 31) / 32 * 4;
  // Some writers leave out the padding of the last row.
  const std::uint64_t padding = info.row_bytes - (bits + 7) / 8;
  const std::uint64_t there =
      in.size() < info.pixels ? 0 : (in.size() - info.pixels + padding) / info.row_bytes;
  if (there < static_cast<std::uint64_t>(info.height))
    reject_truncated(Format::Bmp, "it has " + std::to_string(there) + " of " + std::to_string(info.height) +
                                      " rows of pixels");
  return info;
}

Image decode_bmp(const ByteReader& in, const BmpInfo& info) {
  Image out = Image::allocate(static_cast<int>(info.width), static_cast<int>(info.height));
  const bool coded = info.coding != BmpInfo::Coding::Plain;
  const auto indices = coded ? RunLengths(in, info).decode() : std::vector<std::uint8_t>();
  const auto colours = info.bits <= 8 ? palette(in, info) : std::array<Colour, 256>{};
  const std::array<Channel, 4> channels{Channel(info.masks[0]), Channel(info.masks[1]),
                                        Channel(info.masks[2]), Channel(info.masks[3])};
  const bool bgr = info.bits >= 24 && info.masks == std::array<std::uint32_t, 4>{0xff0000, 0xff00, 0xff, 0};
  BmpInfo whole_bytes = info;
  whole_bytes.bits = 8;
  for (int y = 0; y < out.height; ++y) {
    const auto row = static_cast<std::uint64_t>(y);
    std::uint8_t* to = out.row(info.top_down ? y : out.height - 1 - y);
    if (coded) {
      palette_row(indices.data() + row * static_cast<std::uint64_t>(info.width), whole_bytes, colours, to);
      continue;
    }
    const std::uint8_t* from = in.data() + info.pixels + row * info.row_bytes;
    if (info.bits <= 8)
      palette_row(from, info, colours, to);
    else if (bgr)
      bgr_row(from, info.width, info.bits / 8, to);
    else
      direct_row(from, info, channels, to);
  }
  return out;
}

}  // namespace graft::image
