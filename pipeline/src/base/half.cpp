#include <graft/half.h>

#include <bit>

#include <graft/cpu_isa.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace graft {
namespace {

/// binary32 to binary16, rounded to nearest, ties to even.
std::uint16_t half_of(float value) {
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

/// IEEE binary16 to binary32, exact; subnormals, infinities and NaN included.
float value_of(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16, exponent = (half >> 10) & 31u, fraction = half & 0x3ffu;
  if (exponent == 0) {
    const float small = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -small : small;
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) std::size_t to_half_f16c(const float* in, std::size_t n,
                                                             std::uint16_t* out) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  return i;
}

__attribute__((target("avx,f16c"))) std::size_t from_half_f16c(const std::uint16_t* in, std::size_t n,
                                                               float* out) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
  return i;
}
#endif

}  // namespace

void to_half_portable(const float* in, std::size_t n, std::uint16_t* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = half_of(in[i]);
}

void from_half_portable(const std::uint16_t* in, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = value_of(in[i]);
}

void to_half(const float* in, std::size_t n, std::uint16_t* out) {
  std::size_t done = 0;
#if defined(__x86_64__)
  if (cpu_isa() >= CpuIsa::Avx2) done = to_half_f16c(in, n, out);
#endif
  to_half_portable(in + done, n - done, out + done);
}

void from_half(const std::uint16_t* in, std::size_t n, float* out) {
  std::size_t done = 0;
#if defined(__x86_64__)
  if (cpu_isa() >= CpuIsa::Avx2) done = from_half_f16c(in, n, out);
#endif
  from_half_portable(in + done, n - done, out + done);
}

}  // namespace graft
