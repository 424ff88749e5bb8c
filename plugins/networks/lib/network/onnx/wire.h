#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

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
  float single() const;
  double real() const;
  std::string_view bytes() const;

  /// Calls `take` with each number of a repeated field, which may be packed into one.
  template <typename Take>
  void each_varint(Take take) const {
    if (type_ != Type::Bytes) {
      take(integer());
      return;
    }
    for (std::string_view packed = bytes_; !packed.empty();) take(static_cast<std::int64_t>(cut(packed)));
  }
  template <typename Take>
  void each_single(Take take) const {
    if (type_ != Type::Bytes) {
      take(single());
      return;
    }
    for (std::size_t at = 0; at < whole(sizeof(float)); at += sizeof(float)) take(single_at(at));
  }
  template <typename Take>
  void each_real(Take take) const {
    if (type_ != Type::Bytes) {
      take(real());
      return;
    }
    for (std::size_t at = 0; at < whole(sizeof(double)); at += sizeof(double)) take(real_at(at));
  }

 private:
  [[noreturn]] void fail(const char* text) const;
  std::uint64_t cut(std::string_view& from) const;
  std::string_view take(std::uint64_t size);
  std::size_t whole(std::size_t each) const;
  float single_at(std::size_t at) const;
  double real_at(std::size_t at) const;

  std::string_view rest_;
  const char* what_;
  int field_ = 0;
  Type type_ = Type::Varint;
  std::uint64_t number_ = 0;
  std::string_view bytes_;
};

}  // namespace graft::nn::onnx
