#include "half.h"

#include <bit>

std::uint16_t to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint32_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;

  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);   // NaN
  if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // 65520 and beyond
  if (magnitude < 0x33000000u) return static_cast<std::uint16_t>(sign);  // below half the least subnormal

  const std::uint32_t exponent = magnitude >> 23;
  std::uint32_t half, dropped, tie;
  if (exponent >= 113) {  // 2^-14 and more: a normal half
    half = (magnitude - (112u << 23)) >> 13;
    dropped = magnitude & 0x1fffu;
    tie = 0x1000u;
  } else {
    const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    const std::uint32_t shift = 126 - exponent;  // 14 .. 24
    half = mantissa >> shift;
    dropped = mantissa & ((1u << shift) - 1);
    tie = 1u << (shift - 1);
  }
  // A carry out of the mantissa raises the exponent, which is what rounding up should do.
  if (dropped > tie || (dropped == tie && (half & 1u))) ++half;
  return static_cast<std::uint16_t>(sign | half);
}
