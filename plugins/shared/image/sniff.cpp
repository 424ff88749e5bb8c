#include <image/sniff.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <optional>
#include <string_view>
#include <utility>

#include <graft/error.h>

#include <image/byte_reader.h>
#include <image/exif.h>
#include <image/png_chunks.h>
#include <image/tiff_header.h>

namespace graft::image {
namespace {

using namespace std::string_view_literals;

[[noreturn]] void truncated(Format format, const std::string& why) {
  throw Reject("truncated", std::string("the ") + to_string(format) + " file ends early: " + why +
                                "; copy or download it again");
}

[[noreturn]] void corrupt(Format format, const std::string& why) {
  throw Reject("corrupt", std::string("the ") + to_string(format) + " file is damaged: " + why);
}

[[noreturn]] void unsupported(const std::string& what) {
  throw Reject("unsupported-format",
               what + " is not read; convert it to one of " + readable_formats() + ", or remove it");
}

// An optional number of a header that must be there.
std::uint32_t need(std::optional<std::uint32_t> v, Format format) {
  if (!v) truncated(format, "its header is incomplete");
  return *v;
}

void need_bytes(const ByteReader& in, Format format, std::uint64_t wanted) {
  if (in.size() < wanted)
    truncated(format, "expected " + std::to_string(wanted) + " bytes, got " + std::to_string(in.size()));
}

Header webp(const ByteReader& in) {
  constexpr auto kFormat = Format::WebP;
  Header header{kFormat};
  need_bytes(in, kFormat, std::uint64_t{*in.u32(4)} + 8);
  const auto u24 = [&](std::uint64_t at) {
    return need(in.u16(at), kFormat) | need(in.u8(at + 2), kFormat) << 16;
  };
  if (in.starts_with("VP8 ", 12)) {
    header.width = need(in.u16(26), kFormat) & 0x3fff;
    header.height = need(in.u16(28), kFormat) & 0x3fff;
  } else if (in.starts_with("VP8L", 12)) {
    const std::uint32_t bits = need(in.u32(21), kFormat);
    header.width = 1 + (bits & 0x3fff);
    header.height = 1 + (bits >> 14 & 0x3fff);
  } else if (in.starts_with("VP8X", 12)) {
    if (need(in.u8(20), kFormat) & 0x02) unsupported("an animated WebP image");
    header.width = 1 + std::int64_t{u24(24)};
    header.height = 1 + std::int64_t{u24(27)};
    for (std::uint64_t at = 12; in.has(at, 8); at += 8 + (std::uint64_t{*in.u32(at + 4)} + 1) / 2 * 2) {
      if (!in.starts_with("EXIF", at)) continue;
      const ByteReader exif = in.part(at + 8, *in.u32(at + 4));
      const bool prefixed = exif.starts_with("Exif\0\0"sv);
      header.orientation = exif_orientation(prefixed ? exif.part(6, exif.size() - 6) : exif).value;
    }
  } else {
    corrupt(kFormat, "its first chunk is none of VP8, VP8L, VP8X");
  }
  return header;
}

Header bmp(const ByteReader& in) {
  constexpr auto kFormat = Format::Bmp;
  Header header{kFormat};
  const auto at = [&](std::uint64_t offset) { return need(in.u32(offset), kFormat); };
  const std::uint32_t pixels = at(10), info = at(14);
  std::uint32_t depth = 0, compression = 0;
  if (info == 12) {
    header.width = need(in.u16(18), kFormat);
    header.height = need(in.u16(20), kFormat);
    depth = need(in.u16(24), kFormat);
  } else if (info >= 40) {
    header.width = static_cast<std::int32_t>(at(18));
    header.height = std::abs(std::int64_t{static_cast<std::int32_t>(at(22))});  // negative: rows from the top
    depth = need(in.u16(28), kFormat);
    compression = at(30);
    if (depth <= 8 && at(46) > 256)
      corrupt(kFormat, "its palette has " + std::to_string(at(46)) + " colours");
    // Without a mask for it the fourth byte is padding, mostly zero.
    const bool alpha = info >= 56 && compression == 3 && depth == 32 && at(66) != 0;
    header.alpha = alpha ? Alpha::Straight : Alpha::Ignore;
  } else {
    corrupt(kFormat, "its info header has " + std::to_string(info) + " bytes");
  }
  if (compression > 3) unsupported("a BMP image with embedded JPEG or PNG data");
  const bool plain = compression == 0 || compression == 3;
  if (plain && header.width > 0)
    need_bytes(in, kFormat,
               pixels + (static_cast<std::uint64_t>(header.width) * depth + 31) / 32 * 4 *
                            static_cast<std::uint64_t>(header.height));
  return header;
}

// Reads the numbers of a PNM header: white space and comments between them.
class PnmHeader {
 public:
  explicit PnmHeader(const ByteReader& in) : in_(in) {}
  std::int64_t number() {
    for (auto c = byte(); std::isspace(c) || c == '#'; c = byte()) {
      if (c == '#')
        while (byte() != '\n') ++at_;
      ++at_;
    }
    std::int64_t v = -1;
    for (; in_.has(at_, 1) && std::isdigit(byte()); ++at_) {
      v = std::max<std::int64_t>(v, 0) * 10 + (byte() - '0');
      if (v > 1'000'000'000) corrupt(Format::Pnm, "a number in its header is too large");
    }
    if (v < 0) corrupt(Format::Pnm, "a number is missing in its header");
    return v;
  }
  std::uint64_t position() const { return at_; }

 private:
  int byte() const { return static_cast<int>(need(in_.u8(at_), Format::Pnm)); }
  const ByteReader& in_;
  std::uint64_t at_ = 2;
};

Header pnm(const ByteReader& in) {
  Header header{Format::Pnm};
  const char kind = static_cast<char>(*in.u8(1));
  PnmHeader numbers(in);
  header.width = numbers.number();
  header.height = numbers.number();
  const bool bits = kind == '1' || kind == '4', rgb = kind == '3' || kind == '6', text = kind <= '3';
  const std::int64_t largest = bits ? 1 : numbers.number();
  if (largest < 1 || largest > 65535) corrupt(Format::Pnm, "its largest value is " + std::to_string(largest));
  const auto w = static_cast<std::uint64_t>(header.width), h = static_cast<std::uint64_t>(header.height);
  const std::uint64_t samples = (kind == '4' ? (w + 7) / 8 : w * (rgb ? 3 : 1)) * h;
  if (!text) {
    need_bytes(in, Format::Pnm, numbers.position() + 1 + samples * (largest > 255 ? 2 : 1));
  } else {
    // Numbers apart by white space; those of a bitmap may touch.
    std::uint64_t found = 0;
    bool inside = false;
    for (std::uint64_t at = numbers.position(); at < in.size() && found <= samples; ++at) {
      const auto c = static_cast<int>(*in.u8(at));
      const bool digit = std::isdigit(c) != 0;
      if (!digit && !std::isspace(c)) corrupt(Format::Pnm, "its samples are not all numbers");
      found += digit && (kind == '1' || !inside);
      inside = digit;
    }
    if (found < samples)
      truncated(Format::Pnm,
                "expected " + std::to_string(samples) + " samples, got " + std::to_string(found));
  }
  return header;
}

// What a file is that is no image to be read here.
std::string other_image(const ByteReader& in) {
  if (in.starts_with("GIF87a") || in.starts_with("GIF89a")) return "a GIF image";
  if (in.starts_with("ftypavi", 4)) return "an AVIF image";
  if (in.starts_with("ftyphei", 4) || in.starts_with("ftypmif1", 4)) return "a HEIC image";
  if (in.starts_with("\0\0\0\x0cjP  "sv) || in.starts_with("\xff\x4f\xff\x51")) return "a JPEG 2000 image";
  if (in.starts_with("\0\0\0\x0cJXL "sv) || in.starts_with("\xff\x0a")) return "a JPEG XL image";
  if (in.starts_with("8BPS")) return "a Photoshop image";
  if (in.starts_with("#?RADIANCE") || in.starts_with("#?RGBE")) return "a Radiance HDR image";
  if (in.starts_with("\x76\x2f\x31\x01")) return "an OpenEXR image";
  if (in.starts_with("\0\0\1\0"sv)) return "an icon file";
  if (in.starts_with("\x59\xa6\x6a\x95")) return "a Sun raster image";
  if (in.starts_with("P7\n") || in.starts_with("PF\n") || in.starts_with("Pf\n")) return "a PAM or PFM image";
  return {};
}

std::string no_image(const ByteReader& in) {
  std::string head;
  for (std::uint64_t at = 0; at < 256 && in.has(at, 1); ++at)
    head += static_cast<char>(std::tolower(static_cast<int>(*in.u8(at))));
  const std::size_t start = head.find_first_not_of("\xef\xbb\xbf \t\r\n");
  const std::string_view text = start == std::string::npos ? ""sv : std::string_view(head).substr(start);
  if (text.starts_with("<!doctype html") || text.starts_with("<html"))
    return "an HTML page, which a failed download leaves in place of an image";
  if (text.starts_with("<svg") || (text.starts_with("<?xml") && head.find("<svg") != std::string::npos))
    return "an SVG drawing";
  if (text.starts_with("<?xml") || text.starts_with("<error")) return "an XML file";
  if (text.starts_with("{") || text.starts_with("[")) return "a JSON file";
  if (in.starts_with("%PDF")) return "a PDF file";
  if (in.starts_with("PK\3\4")) return "a ZIP archive";
  if (in.starts_with("\x1f\x8b")) return "a gzip file";
  if (in.starts_with("ftyp", 4)) return "a video file";
  if (std::all_of(head.begin(), head.end(), [](char c) {
        return std::isprint(static_cast<unsigned char>(c)) || std::isspace(static_cast<unsigned char>(c));
      }))
    return "a text file";
  std::string shown;
  for (std::uint64_t at = 0; at < 8 && in.has(at, 1); ++at) {
    char hex[4];
    std::snprintf(hex, sizeof hex, " %02x", *in.u8(at));
    shown += hex;
  }
  return "a file of no known image format (it begins with" + shown + ")";
}

std::optional<Header> any(const Bytes& bytes) {
  const ByteReader in(bytes);
  if (in.starts_with("\xff\xd8")) return Header{Format::Jpeg};
  if (in.starts_with("\x89PNG")) return png_header(in);
  if (in.starts_with("RIFF") && in.starts_with("WEBP", 8)) return webp(in);
  if (in.starts_with("II*\0"sv) || in.starts_with("MM\0*"sv)) return tiff_header(in);
  if (in.starts_with("II+\0"sv) || in.starts_with("MM\0+"sv)) unsupported("a BigTIFF image");
  if (in.size() > 2 && *in.u8(0) == 'P' && *in.u8(1) >= '1' && *in.u8(1) <= '6' &&
      std::isspace(static_cast<int>(*in.u8(2))))
    return pnm(in);
  // Two letters prove little, so a BMP must also have its reserved bytes empty.
  if (in.starts_with("BM") && in.u32(6).value_or(0) == 0) return bmp(in);
  return {};
}

}  // namespace

const char* to_string(Format format) {
  static constexpr const char* kNames[] = {"JPEG", "PNG", "WebP", "BMP", "TIFF", "PNM"};
  return kNames[static_cast<int>(format)];
}

std::string readable_formats() {
  return "JPEG, PNG, WebP, BMP, TIFF, PNM";
}

Header sniff(const Bytes& bytes) {
  if (bytes.size == 0) throw Reject("empty-file", "the file has 0 bytes; copy or download it again");
  const auto header = any(bytes);
  if (!header) {
    const ByteReader in(bytes);
    if (const std::string what = other_image(in); !what.empty()) unsupported(what);
    throw Reject("not-an-image", "expected an image (" + readable_formats() + "), got " + no_image(in));
  }
  if (header->format != Format::Jpeg && (header->width < 1 || header->height < 1))
    corrupt(header->format, "its header says " + std::to_string(header->width) + " x " +
                                std::to_string(header->height) + " pixels");
  return *header;
}

}  // namespace graft::image
