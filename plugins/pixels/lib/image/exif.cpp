#include <image/exif.h>

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

// The first integer of the entry at `at`; nothing for other types. Negative numbers are not orientations, so
// the signed types are read like the unsigned ones.
std::optional<std::uint32_t> integer(const ByteReader& tiff, std::uint64_t at) {
  enum Type : std::uint32_t { Byte = 1, Short = 3, Long = 4, SByte = 6, SShort = 8, SLong = 9, Ifd = 13 };
  std::uint64_t width = 0;
  switch (tiff.u16(at + 2).value_or(0)) {
    case Byte:
    case SByte:
      width = 1;
      break;
    case Short:
    case SShort:
      width = 2;
      break;
    case Long:
    case SLong:
    case Ifd:
      width = 4;
      break;
    default:
      return {};
  }
  const std::uint64_t count = tiff.u32(at + 4).value_or(0);
  if (count == 0) return {};
  const std::uint64_t value = width * count > 4 ? tiff.u32(at + 8).value_or(0) : at + 8;
  return width == 1 ? tiff.u8(value) : width == 2 ? tiff.u16(value) : tiff.u32(value);
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
    // Where the tag occurs twice the last one counts, as in Pillow.
    if (tiff.u16(at) == kOrientation) found = valid(integer(tiff, at).value_or(0));
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
