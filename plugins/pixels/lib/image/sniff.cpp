#include <image/sniff.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <optional>
#include <string_view>

#include <graft/error.h>

#include <image/bmp.h>
#include <image/byte_reader.h>
#include <image/exif.h>
#include <image/png_chunks.h>
#include <image/pnm.h>
#include <image/reject.h>
#include "tiff_header.h"

namespace graft::image {
namespace {

using namespace std::string_view_literals;

[[noreturn]] void unsupported(const std::string& what) {
  reject_unsupported(what, "convert it to one of " + readable_formats() + ", or remove it");
}

// An optional number of a header that must be there.
std::uint32_t need(std::optional<std::uint32_t> v, Format format) {
  if (!v) reject_truncated(format, "its header is incomplete");
  return *v;
}

void need_bytes(const ByteReader& in, Format format, std::uint64_t wanted) {
  if (in.size() < wanted)
    reject_truncated(format,
                     "expected " + std::to_string(wanted) + " bytes, got " + std::to_string(in.size()));
}

int webp_orientation(const ByteReader& in) {
  for (std::uint64_t at = 12; in.has(at, 8); at += 8 + (std::uint64_t{*in.u32(at + 4)} + 1) / 2 * 2)
    if (in.starts_with("EXIF", at)) return exif_orientation(in.part(at + 8, *in.u32(at + 4))).value_or(1);
  return 1;
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
    // Readers of WebP believe the flag, so a chunk without it is not there.
    constexpr std::uint32_t kHasExif = 0x08;
    if (*in.u8(20) & kHasExif) header.orientation = webp_orientation(in);
  } else {
    reject_corrupt(kFormat, "its first chunk is not VP8, VP8L or VP8X");
  }
  return header;
}

template <typename Info>
Header sized(Format format, const Info& info) {
  Header header{format};
  header.width = info.width;
  header.height = info.height;
  return header;
}

// The brands of a file of the HEIF family: the major one, its version, and those that it is compatible with.
bool is_avif(const ByteReader& in) {
  if (!in.starts_with("ftyp", 4)) return false;
  constexpr std::uint64_t kMost = 256;  // bytes that are looked at
  const std::uint64_t end = std::min<std::uint64_t>(in.with_order(true).u32(0).value_or(0), kMost);
  for (std::uint64_t at = 8; at + 4 <= end && in.has(at, 4); at += 4)
    if (in.starts_with("avif", at) || in.starts_with("avis", at)) return true;
  return false;
}

// The format of a file that is not a readable image.
std::string other_image(const ByteReader& in) {
  if (in.starts_with("GIF87a") || in.starts_with("GIF89a")) return "a GIF image";
  if (is_avif(in)) return "an AVIF image";
  if (in.starts_with("ftyphei", 4) || in.starts_with("ftypmif1", 4)) return "a HEIC image";
  if (in.starts_with("\0\0\0\x0cjP  "sv) || in.starts_with("\xff\x4f\xff\x51")) return "a JPEG 2000 image";
  if (in.starts_with("\0\0\0\x0cJXL "sv) || in.starts_with("\xff\x0a")) return "a JPEG XL image";
  if (in.starts_with("8BPS")) return "a Photoshop image";
  if (in.starts_with("#?RADIANCE") || in.starts_with("#?RGBE")) return "a Radiance HDR image";
  if (in.starts_with("\x76\x2f\x31\x01")) return "an OpenEXR image";
  if (in.starts_with("\0\0\1\0"sv)) return "an icon file";
  if (in.starts_with("\0\0\2\0"sv) && in.u16(4).value_or(0) > 0 && in.u8(9) == 0u) return "a cursor file";
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
    return sized(Format::Pnm, pnm_info(in));
  if (is_bmp(in)) return sized(Format::Bmp, bmp_info(in));
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
    reject_corrupt(header->format, "its header says " + std::to_string(header->width) + " x " +
                                       std::to_string(header->height) + " pixels");
  return *header;
}

}  // namespace graft::image
