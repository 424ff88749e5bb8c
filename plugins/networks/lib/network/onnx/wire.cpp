#include "wire.h"

#include <fmt/format.h>

#include <graft/error.h>

namespace graft::nn::onnx {

void Wire::fail(const char* text) const {
  throw Error(fmt::format("{} {}: the file is truncated or damaged; copy it again", what_, text));
}

std::uint64_t Wire::cut(std::string_view& from) const {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (from.empty()) fail("ends within a number");
    const auto byte = static_cast<unsigned char>(from.front());
    from.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7fU} << shift;
    if ((byte & 0x80U) == 0) return value;
  }
  fail("has a number of more than 64 bits");
}

std::string_view Wire::take(std::uint64_t size) {
  if (size > rest_.size()) fail("has a field that is longer than itself");
  const std::string_view out = rest_.substr(0, static_cast<std::size_t>(size));
  rest_.remove_prefix(out.size());
  return out;
}

bool Wire::next() {
  if (rest_.empty()) return false;
  const std::uint64_t key = cut(rest_);
  if (key >> 3 == 0 || key >> 3 > 0x1fffffff) fail("has a field without a number");
  field_ = static_cast<int>(key >> 3);
  switch (key & 7U) {
    case 0:
      type_ = Type::Varint;
      number_ = cut(rest_);
      return true;
    case 1:
      type_ = Type::Fixed64;
      bytes_ = take(sizeof(double));
      return true;
    case 2:
      type_ = Type::Bytes;
      bytes_ = take(cut(rest_));
      return true;
    case 5:
      type_ = Type::Fixed32;
      bytes_ = take(sizeof(float));
      return true;
    default:
      fail("has a field of a type that ONNX does not use");
  }
}

std::uint64_t Wire::varint() const {
  if (type_ != Type::Varint) fail("has bytes in place of a number");
  return number_;
}

std::string_view Wire::bytes() const {
  if (type_ != Type::Bytes) fail("has a number in place of a text or a message");
  return bytes_;
}

}  // namespace graft::nn::onnx
