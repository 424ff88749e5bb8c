#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace graft {

// The store's formats are little-endian, as every machine that this is built for; big-endian ones would need
// swaps here.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

/// Rows are read and written in blocks of about so many bytes.
inline constexpr std::size_t kBlockBytes = std::size_t{4} << 20;

/// Writes a number at `at` and steps over it.
template <typename T>
void put(std::uint8_t*& at, T value) {
  std::memcpy(at, &value, sizeof value);
  at += sizeof value;
}

/// Reads a number at `at` and steps over it.
template <typename T>
T take(const std::uint8_t*& at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  at += sizeof value;
  return value;
}

}  // namespace graft
