#include <image/exif.h>

namespace graft::image {

Orientation exif_orientation(ByteReader tiff) {
  constexpr std::uint32_t kOrientation = 0x0112, kShort = 3;
  if (!tiff.starts_with("II") && !tiff.starts_with("MM")) return {};
  tiff = tiff.with_order(tiff.starts_with("MM"));
  const auto folder = tiff.u32(4);
  if (tiff.u16(2) != 42u || !folder) return {};
  const std::uint32_t entries = tiff.u16(*folder).value_or(0);
  for (std::uint32_t i = 0; i < entries; ++i) {
    const std::uint64_t at = std::uint64_t{*folder} + 2 + 12 * std::uint64_t{i};
    const auto tag = tiff.u16(at);
    if (!tag) return {};
    if (*tag != kOrientation) continue;
    const auto value = tiff.u16(at + 8);
    if (tiff.u16(at + 2) != kShort || !value || *value < 1 || *value > 8) return {};
    return {static_cast<int>(*value), at + 8};
  }
  return {};
}

}  // namespace graft::image
