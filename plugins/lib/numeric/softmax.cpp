#include <numeric/softmax.h>

#include <bit>
#include <cstdint>

#include <graft/cpu_isa.h>

namespace graft::numeric {
namespace {

/// exp(x) = 2^n exp(r), |r| <= log(2) / 2, with the polynomial of Moshier's Cephes library (expf). Every step
/// is of a kind that compilers turn into vectors.
[[gnu::always_inline]] inline void exp_each(float* values, std::size_t count) {
  constexpr float kLowest = -87.0F;
  constexpr float kRounder = 12582912.0F;  // 1.5 x 2^23: added, it leaves no room for fractions
  for (std::size_t i = 0; i < count; ++i) {
    const float x = values[i] < kLowest ? kLowest : values[i];
    const float shifted = x * 1.44269504088896341F + kRounder;
    const float n = shifted - kRounder;
    const float r = x - n * 0.693359375F + n * 2.12194440e-4F;
    float p = 1.9875691500e-4F;
    p = p * r + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    p = p * r * r + r + 1.0F;
    const std::int32_t exponent =
        std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kRounder);
    values[i] = p * std::bit_cast<float>((exponent + 127) << 23);
  }
}

#if defined(__x86_64__)
#if defined(__clang__)  // has no such word, and would ignore the others with it
#define GRAFT_EXP_AVX512 "avx512f"
#else
#define GRAFT_EXP_AVX512 "avx512f,prefer-vector-width=512"
#endif
__attribute__((target(GRAFT_EXP_AVX512))) void exp_avx512(float* values, std::size_t count) {
  exp_each(values, count);
}
__attribute__((target("avx2,fma"))) void exp_avx2(float* values, std::size_t count) {
  exp_each(values, count);
}
#endif

}  // namespace

void exp_all(std::span<float> values) {
#if defined(__x86_64__)
  if (cpu_isa() >= CpuIsa::Avx512) return exp_avx512(values.data(), values.size());
  if (cpu_isa() >= CpuIsa::Avx2) return exp_avx2(values.data(), values.size());
#endif
  exp_each(values.data(), values.size());
}

}  // namespace graft::numeric
