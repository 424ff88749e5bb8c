#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include <graft/payload.h>

namespace graft::image {

/// Bounds-checked access to a block of bytes: every read past the end gives nothing.
class ByteReader {
 public:
  ByteReader(const std::uint8_t* data, std::size_t size, bool big_endian = false)
      : data_(data), size_(size), big_endian_(big_endian) {}
  explicit ByteReader(const Bytes& bytes, bool big_endian = false)
      : ByteReader(bytes.data, bytes.size, big_endian) {}

  const std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool has(std::uint64_t at, std::uint64_t count) const { return at <= size_ && count <= size_ - at; }
  bool starts_with(std::string_view magic, std::uint64_t at = 0) const {
    return has(at, magic.size()) && std::memcmp(data_ + at, magic.data(), magic.size()) == 0;
  }

  std::optional<std::uint32_t> u8(std::uint64_t at) const { return number(at, 1); }
  std::optional<std::uint32_t> u16(std::uint64_t at) const { return number(at, 2); }
  std::optional<std::uint32_t> u32(std::uint64_t at) const { return number(at, 4); }

  ByteReader part(std::uint64_t at, std::uint64_t count) const {
    if (!has(at, count)) return {data_, 0, big_endian_};
    return {data_ + at, static_cast<std::size_t>(count), big_endian_};
  }
  ByteReader with_order(bool big_endian) const { return {data_, size_, big_endian}; }

 private:
  std::optional<std::uint32_t> number(std::uint64_t at, int count) const {
    if (!has(at, static_cast<std::uint64_t>(count))) return {};
    std::uint32_t v = 0;
    for (int i = 0; i < count; ++i)
      v = v << 8 | data_[at + static_cast<std::uint64_t>(big_endian_ ? i : count - 1 - i)];
    return v;
  }

  const std::uint8_t* data_;
  std::size_t size_;
  bool big_endian_;
};

}  // namespace graft::image
