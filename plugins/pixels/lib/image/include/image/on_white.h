#pragma once

#include <cstdint>

namespace graft::image {

/// round(v * 255 / 65535) for every v.
inline std::uint8_t to8(std::uint16_t v) {
  return static_cast<std::uint8_t>((v * 255u + 32895u) >> 16);
}
inline std::uint8_t to8(std::uint8_t v) {
  return v;
}

/// round((colour * alpha + 255 * (255 - alpha)) / 255): how a straight alpha lays a colour on white.
inline std::uint8_t on_white(unsigned colour, unsigned alpha) {
  const unsigned t = colour * alpha + 255u * (255u - alpha) + 128u;
  return static_cast<std::uint8_t>(((t >> 8) + t) >> 8);
}

}  // namespace graft::image
