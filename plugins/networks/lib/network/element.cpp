#include <network/element.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include <graft/half.h>

namespace graft::nn {
namespace {

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

void halves(const std::byte* in, std::size_t n, float* out) {
  std::array<std::uint16_t, 4096> block;  // what lies in a file need not be aligned
  for (std::size_t count = 0; n > 0; in += 2 * count, out += count, n -= count) {
    count = std::min(n, block.size());
    std::memcpy(block.data(), in, 2 * count);
    from_half(block.data(), count, out);
  }
}

constexpr ElementType kTypes[] = {{"F32", 4, copy},
                                  {"F16", 2, halves},
                                  {"BF16", 2, read_each<std::uint16_t, from_bfloat>},
                                  {"F64", 8, read_each<double, rounded<double>>},
                                  {"I64", 8, read_each<std::int64_t, rounded<std::int64_t>>},
                                  {"I32", 4, nullptr},
                                  {"I16", 2, nullptr},
                                  {"I8", 1, nullptr},
                                  {"U8", 1, nullptr},
                                  {"BOOL", 1, nullptr},
                                  {"C64", 8, nullptr},
                                  {"C128", 16, nullptr}};

}  // namespace

const ElementType* element_type(std::string_view name) {
  for (const ElementType& type : kTypes)
    if (name == type.name) return &type;
  return nullptr;
}

}  // namespace graft::nn
