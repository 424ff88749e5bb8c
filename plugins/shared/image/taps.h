#pragma once

#include <cstdint>
#include <vector>

#include <image/resize.h>

namespace graft::image {

/// Fractional bits of a weight. 8 bits of a pixel and 2 bits against overflow (negative lobes) are left
/// of 32.
inline constexpr int kWeightBits = 32 - 8 - 2;

/// For each output position: the first input position, how many there are, and their weights.
struct Taps {
  std::vector<int> first, count;
  std::vector<std::int32_t> weights;  ///< `stride` per output position, zeros behind the last one.
  int stride = 0;

  const std::int32_t* of(int position) const {
    return weights.data() + std::size_t(position) * std::size_t(stride);
  }
  int begin() const { return first.front(); }
  int end() const { return first.back() + count.back(); }
};

/// Taps of output positions [from, from + n) when `in` pixels become `out`.
Taps make_taps(int in, std::int64_t out, std::int64_t from, int n, Filter filter);

/// What both resizers demand; throws Error.
void check_crop(const Image& source, Size size, Rect crop);

/// The pixel of a weighted sum that began at half a unit.
inline std::uint8_t clip8(std::int32_t sum) {
  const std::int32_t v = sum >> kWeightBits;
  return static_cast<std::uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v);
}

}  // namespace graft::image
