#pragma once

#include <cstdint>
#include <vector>

#include <image/resize.h>

namespace graft::image {

/// Fractional bits of a weight. 8 bits of a pixel and 2 bits against overflow (negative lobes) are left
/// of 32.
inline constexpr int kWeightBits = 32 - 8 - 2;
/// Half a unit: where a weighted sum begins, so that it is rounded.
inline constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

/// A weight is taken apart as high * 2^11 + low, so that products of 16-bit numbers suffice: vector units
/// multiply those several times faster than 32-bit ones, and the sums stay exact.
inline constexpr int kLowBits = 11;
inline std::int16_t high_part(std::int32_t weight) {
  return static_cast<std::int16_t>(weight >> kLowBits);
}
inline std::int16_t low_part(std::int32_t weight) {
  return static_cast<std::int16_t>(weight & ((1 << kLowBits) - 1));
}

/// For each output position: the first input position, how many there are, and their weights.
struct Taps {
  std::vector<int> first, count;
  std::vector<std::int32_t> weights;  ///< `stride` per output position, zeros after the last one.
  int stride = 0;

  const std::int32_t* of(int position) const {
    return weights.data() + std::size_t(position) * std::size_t(stride);
  }
  int begin() const { return first.front(); }
  int end() const { return first.back() + count.back(); }
};

/// One direction of a resize: positions [from, from + n) of `out` pixels that [low, high) of `in` pixels
/// become.
struct Line {
  int in = 0;
  double low = 0, high = 0;
  std::int64_t out = 0, from = 0;
  int n = 0;

  bool resized() const { return in != out || low != 0 || high != in; }
};
Line across(const Frame& frame, Size size, Rect crop);
Line down(const Frame& frame, Size size, Rect crop);

/// As Pillow's precompute_coeffs and normalize_coeffs_8bpc.
Taps make_taps(const Line& line, Filter filter);

/// What every resizer demands; throws Error.
void check_crop(const Part& source, Size size, Rect crop, Filter filter);

/// The pixel of a weighted sum that began at half a unit.
inline std::uint8_t clip8(std::int32_t sum) {
  const std::int32_t v = sum >> kWeightBits;
  return static_cast<std::uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v);
}

}  // namespace graft::image
