#include "store/widen.h"

#include <bit>
#include <cstring>

namespace graft {
namespace {

/// IEEE binary16 to binary32, exact; subnormals, infinities and NaN included.
float from_half(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16, exponent = (half >> 10) & 31u, fraction = half & 0x3ffu;
  if (exponent == 0) {
    const float small = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -small : small;
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

}  // namespace

void widen(DType from, const std::uint8_t* in, std::size_t n, float* out) {
  switch (from) {
    case DType::F32:
      std::memcpy(out, in, n * sizeof(float));
      return;
    case DType::U8:
      for (std::size_t i = 0; i < n; ++i) out[i] = in[i];
      return;
    case DType::F16:
      for (std::size_t i = 0; i < n; ++i) {
        std::uint16_t half;
        std::memcpy(&half, in + 2 * i, 2);
        out[i] = from_half(half);
      }
      return;
    case DType::I64:
      for (std::size_t i = 0; i < n; ++i) {
        std::int64_t v;
        std::memcpy(&v, in + 8 * i, 8);
        out[i] = static_cast<float>(v);
      }
      return;
  }
}

}  // namespace graft
