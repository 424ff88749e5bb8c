#include <image/exif.h>

#include <array>

namespace graft::image {
namespace {

using namespace std::string_view_literals;

constexpr std::uint32_t kOrientation = 0x0112;

bool is_tiff(const ByteReader& in) {
  // The last two put the number 42 into the wrong byte order; Pillow reads them.
  return in.starts_with("II*\0"sv) || in.starts_with("MM\0*"sv) || in.starts_with("MM*\0"sv) ||
         in.starts_with("II\0*"sv);
}

int valid(std::int64_t orientation) {
  return orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : 1;
}

// The bytes of a value of each type; 0: there is no such type.
constexpr std::array<std::uint8_t, 17> kWidths{0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8};

// The integer at `at`; nothing for other types. Negative numbers are not orientations, so the signed types
// are read like the unsigned ones.
std::optional<std::uint32_t> integer(const ByteReader& tiff, std::uint32_t type, std::uint64_t at) {
  enum Type : std::uint32_t {
    Byte = 1,
    Short = 3,
    Long = 4,
    SByte = 6,
    SShort = 8,
    SLong = 9,
    Ifd = 13,
    Long8 = 16
  };
  switch (type) {
    case Byte:
    case SByte:
      return tiff.u8(at);
    case Short:
    case SShort:
      return tiff.u16(at);
    case Long:
    case SLong:
    case Ifd:
      return tiff.u32(at);
    case Long8: {
      const bool big_endian = tiff.starts_with("MM");
      if (tiff.u32(at + (big_endian ? 0 : 4)) != 0u) return {};  // the upper half
      return tiff.u32(at + (big_endian ? 4 : 0));
    }
    default:
      return {};
  }
}

}  // namespace

std::optional<int> exif_orientation(ByteReader tiff) {
  if (tiff.starts_with("Exif\0\0"sv)) tiff = tiff.part(6, tiff.size() - 6);
  if (!is_tiff(tiff)) return {};
  tiff = tiff.with_order(tiff.starts_with("MM"));
  const auto folder = tiff.u32(4);
  if (!folder) return {};
  const std::uint32_t entries = tiff.u16(*folder).value_or(0);
  std::optional<int> found;
  for (std::uint32_t i = 0; i < entries; ++i) {
    const std::uint64_t at = std::uint64_t{*folder} + 2 + 12 * std::uint64_t{i};
    if (!tiff.has(at, 12)) break;
    // As in Pillow: an entry without a value, or of a type that there is not, is skipped; one whose value
    // lies outside ends the list. Where the tag occurs twice the last one counts.
    const std::uint32_t type = *tiff.u16(at + 2);
    const std::uint64_t size = type < kWidths.size() ? std::uint64_t{kWidths[type]} * *tiff.u32(at + 4) : 0;
    if (size == 0) continue;
    const std::uint64_t value = size > 4 ? *tiff.u32(at + 8) : at + 8;
    if (!tiff.has(value, size)) break;
    if (tiff.u16(at) == kOrientation) found = valid(integer(tiff, type, value).value_or(0));
  }
  return found;
}

std::optional<int> xmp_orientation(std::string_view xmp) {
  constexpr std::string_view kName = "tiff:Orientation";
  for (std::size_t at = 0; (at = xmp.find(kName, at)) != std::string_view::npos;) {
    at += kName.size();
    std::string_view rest = xmp.substr(at);
    if (rest.starts_with("=\""))
      rest.remove_prefix(2);
    else if (rest.starts_with(">"))
      rest.remove_prefix(1);
    else
      continue;
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return valid(rest[0] - '0');
  }
  return {};
}

}  // namespace graft::image
