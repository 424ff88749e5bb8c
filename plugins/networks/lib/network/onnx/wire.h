#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace graft::nn::onnx {

/// The fields of one message of a protocol buffer, one after the other. Every length is checked against the
/// message before it is used; nothing is copied.
class Wire {
 public:
  enum class Type { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

  /// `what`: the message, for errors: "a node".
  Wire(std::string_view message, const char* what) : rest_(message), what_(what) {}

  /// Reads the next field; false at the end. Throws Error where the bytes are not a field.
  bool next();
  int field() const { return field_; }

  /// The value of the field. Throw Error where it has another type.
  std::uint64_t varint() const;
  std::int64_t integer() const { return static_cast<std::int64_t>(varint()); }
  /// float or double.
  template <typename Real>
  Real real() const {
    constexpr bool kIsFloat = sizeof(Real) == sizeof(float);
    if (type_ != (kIsFloat ? Type::Fixed32 : Type::Fixed64))
      fail(kIsFloat ? "has another field in place of a float" : "has another field in place of a double");
    return real_at<Real>(0);
  }
  std::string_view bytes() const;

  // The numbers of a repeated field, which may be packed into one: a byte may become eight.
  template <typename Take>
  void each_varint(Take take) const {
    if (type_ != Type::Bytes) {
      take(integer());
      return;
    }
    for (std::string_view packed = bytes_; !packed.empty();) take(static_cast<std::int64_t>(cut(packed)));
  }
  /// How many there are.
  std::size_t varints() const {
    const auto ends = [](char byte) { return (static_cast<unsigned char>(byte) & 0x80U) == 0; };
    return type_ != Type::Bytes ? 1
                                : static_cast<std::size_t>(std::count_if(bytes_.begin(), bytes_.end(), ends));
  }
  template <typename Real>
  std::size_t reals() const {
    return type_ != Type::Bytes ? 1 : bytes_.size() / sizeof(Real);
  }
  template <typename Real>
  void append_reals(std::vector<Real>& out) const {
    if (type_ != Type::Bytes) {
      out.push_back(real<Real>());
      return;
    }
    if (bytes_.size() % sizeof(Real) != 0) fail("has numbers that are cut off");
    for (std::size_t at = 0; at < bytes_.size(); at += sizeof(Real)) out.push_back(real_at<Real>(at));
  }

 private:
  [[noreturn]] void fail(const char* text) const;
  std::uint64_t cut(std::string_view& from) const;
  std::string_view take(std::uint64_t size);
  template <typename Real>
  Real real_at(std::size_t at) const {
    Real value = 0;
    std::memcpy(&value, bytes_.data() + at, sizeof value);
    return value;
  }

  std::string_view rest_;
  const char* what_;
  int field_ = 0;
  Type type_ = Type::Varint;
  std::uint64_t number_ = 0;
  std::string_view bytes_;
};

}  // namespace graft::nn::onnx
