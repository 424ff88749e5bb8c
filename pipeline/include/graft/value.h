#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <graft/export.h>

namespace graft {

/// A JSON-like value: what parameters, summaries and results are made of. Maps keep insertion order.
class GRAFT_API Value {
 public:
  using List = std::vector<Value>;
  using Map = std::vector<std::pair<std::string, Value>>;

  Value() = default;
  Value(std::nullptr_t) {}
  Value(bool v) : data_(v) {}
  Value(int v) : data_(std::int64_t{v}) {}
  Value(std::int64_t v) : data_(v) {}
  Value(std::uint64_t v) : data_(static_cast<std::int64_t>(v)) {}
  Value(double v) : data_(v) {}
  Value(const char* v) : data_(std::string(v)) {}
  Value(std::string_view v) : data_(std::string(v)) {}
  Value(std::string v) : data_(std::move(v)) {}
  Value(List v) : data_(std::move(v)) {}
  Value(Map v) : data_(std::move(v)) {}

  static Value list() { return Value(List{}); }
  static Value map() { return Value(Map{}); }

  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_int() const { return std::holds_alternative<std::int64_t>(data_); }
  bool is_double() const { return std::holds_alternative<double>(data_); }
  bool is_number() const { return is_int() || is_double(); }
  bool is_string() const { return std::holds_alternative<std::string>(data_); }
  bool is_list() const { return std::holds_alternative<List>(data_); }
  bool is_map() const { return std::holds_alternative<Map>(data_); }

  /// Accessors throw Error, naming both kinds, when the value is of another kind.
  bool as_bool() const;
  std::int64_t as_int() const;
  double as_double() const;  // an integer converts
  const std::string& as_string() const;
  const List& as_list() const;
  const Map& as_map() const;
  List& as_list();
  Map& as_map();

  /// Map look-up: nullptr when absent or when this is not a map.
  const Value* find(std::string_view key) const;
  /// Map entry, made when absent; a null value becomes a map first.
  Value& operator[](std::string_view key);
  /// Appends to a list; a null value becomes a list first.
  void push(Value v);

  /// `null`, `boolean`, `integer`, `number`, `text`, `list` or `map`: the words used in messages.
  const char* kind() const;
  /// Compact JSON. Doubles are written so that they read back to the same bits; not-finite ones as null.
  std::string to_json() const;
  /// JSON over several lines, two spaces a level.
  std::string to_json_pretty() const;
  /// Whole numbers beyond 64 bits become texts of their digits. Throws Error with the offset of the error.
  static Value from_json(std::string_view text);

  friend bool operator==(const Value&, const Value&) = default;

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Map> data_;
};

}  // namespace graft
