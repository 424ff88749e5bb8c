#include "element.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace graft::nn {
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

/// bfloat16 is the upper half of a binary32.
float from_bfloat(std::uint16_t upper) {
  return std::bit_cast<float>(std::uint32_t{upper} << 16);
}

template <typename T, float (*convert)(T)>
void read_each(const std::byte* in, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; ++i) {
    T value;
    std::memcpy(&value, in + i * sizeof value, sizeof value);
    out[i] = convert(value);
  }
}

template <typename T>
float rounded(T value) {
  return static_cast<float>(value);
}

void copy(const std::byte* in, std::size_t n, float* out) {
  std::memcpy(out, in, n * sizeof(float));
}

constexpr ElementType kTypes[] = {{"F32", 4, copy},
                                  {"F16", 2, read_each<std::uint16_t, from_half>},
                                  {"BF16", 2, read_each<std::uint16_t, from_bfloat>},
                                  {"F64", 8, read_each<double, rounded<double>>},
                                  {"I64", 8, read_each<std::int64_t, rounded<std::int64_t>>},
                                  {"I32", 4, nullptr},
                                  {"I16", 2, nullptr},
                                  {"I8", 1, nullptr},
                                  {"U8", 1, nullptr},
                                  {"BOOL", 1, nullptr}};

}  // namespace

const ElementType* element_type(std::string_view name) {
  for (const ElementType& type : kTypes)
    if (name == type.name) return &type;
  return nullptr;
}

}  // namespace graft::nn
