#include <graft/value.h>

#include <graft/error.h>
#include <graft/printable.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/utf8.h"

namespace graft {
namespace {

[[noreturn]] void wrong(const char* wanted, const Value& got) {
  throw Error(std::string("expected ") + wanted + ", got " + got.kind());
}

template <typename T, typename V, typename Variant>
V& get_or_throw(Variant& data, const char* wanted, const Value& self) {
  if (auto* p = std::get_if<T>(&data)) return *p;
  wrong(wanted, self);
}

using OrderedJson = nlohmann::ordered_json;

/// Texts may hold any bytes a file system allows, JSON UTF-8 alone.
OrderedJson to_nlohmann(const Value& v) {
  if (v.is_bool()) return v.as_bool();
  if (v.is_int()) return v.as_int();
  if (v.is_double()) return std::isfinite(v.as_double()) ? OrderedJson(v.as_double()) : OrderedJson(nullptr);
  if (v.is_string()) return as_utf8(v.as_string());
  if (v.is_list()) {
    OrderedJson out = OrderedJson::array();
    for (const Value& e : v.as_list()) out.push_back(to_nlohmann(e));
    return out;
  }
  if (v.is_map()) {
    OrderedJson out = OrderedJson::object();
    // Past the look-up of ordered_map, which would make this quadratic: keys are unique already.
    auto& members =
        static_cast<std::vector<OrderedJson::object_t::value_type>&>(out.get_ref<OrderedJson::object_t&>());
    members.reserve(v.as_map().size());
    for (const auto& [key, e] : v.as_map()) members.emplace_back(as_utf8(key), to_nlohmann(e));
    return out;
  }
  return nullptr;
}

// Deeper than anything that people write; the stack would hold more.
constexpr int kMaxJsonDepth = 200;

/// Builds a value while a document is parsed: time and memory are linear in the document, whatever it has.
class Builder final : public nlohmann::json_sax<OrderedJson> {
 public:
  Value take() { return std::move(root_); }

  bool null() override { return put({}); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(OrderedJson::number_integer_t value) override {
    return put(Value(std::int64_t{value}));
  }
  // Beyond what an integer of ours holds, and then not rounded: ids of 64 bits must stay apart.
  bool number_unsigned(OrderedJson::number_unsigned_t value) override {
    return put(value > std::uint64_t{INT64_MAX} ? Value(std::to_string(value))
                                                : Value(static_cast<std::int64_t>(value)));
  }
  bool number_float(OrderedJson::number_float_t value, const std::string& digits) override {
    const bool whole = digits.find_first_not_of("-0123456789") == std::string::npos;
    return put(whole ? Value(digits) : Value(value));
  }
  bool string(std::string& text) override { return put(std::move(text)); }
  bool binary(OrderedJson::binary_t&) override { return false; }  // JSON has none
  bool start_object(std::size_t) override { return open(Value::map()); }
  bool start_array(std::size_t) override { return open(Value::list()); }
  bool key(std::string& name) override {
    stack_.back().as_map().emplace_back(std::move(name), Value());
    return true;
  }
  bool end_object() override {
    refuse_twins(stack_.back().as_map());
    return close();
  }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t at, const std::string& token, const OrderedJson::exception& e) override {
    if (dynamic_cast<const OrderedJson::out_of_range*>(&e) != nullptr)
      throw Error(fmt::format("not valid JSON at byte {}: the number {} is too large", at, printable(token)));
    throw Error(fmt::format("not valid JSON at byte {}", at));
  }

 private:
  bool put(Value value) {
    if (stack_.empty())
      root_ = std::move(value);
    else if (Value& top = stack_.back(); top.is_list())
      top.push(std::move(value));
    else
      top.as_map().back().second = std::move(value);
    return true;
  }
  bool open(Value value) {
    if (stack_.size() == kMaxJsonDepth)
      throw Error(fmt::format("JSON nested more than {} deep", kMaxJsonDepth));
    stack_.push_back(std::move(value));
    return true;
  }
  bool close() {
    Value done = std::move(stack_.back());
    stack_.pop_back();
    return put(std::move(done));
  }

  static void refuse_twins(const Value::Map& map) {
    std::vector<std::string_view> names;
    names.reserve(map.size());
    for (const auto& [name, value] : map) names.push_back(name);
    std::sort(names.begin(), names.end());
    if (const auto twin = std::adjacent_find(names.begin(), names.end()); twin != names.end())
      throw Error(fmt::format("not valid JSON: the name '{}' stands twice in one object", printable(*twin)));
  }

  Value root_;
  std::vector<Value> stack_;
};

}  // namespace

bool Value::as_bool() const {
  return get_or_throw<bool, const bool>(data_, "boolean", *this);
}
std::int64_t Value::as_int() const {
  return get_or_throw<std::int64_t, const std::int64_t>(data_, "integer", *this);
}
double Value::as_double() const {
  if (is_int()) return static_cast<double>(as_int());
  return get_or_throw<double, const double>(data_, "number", *this);
}
const std::string& Value::as_string() const {
  return get_or_throw<std::string, const std::string>(data_, "text", *this);
}
const Value::List& Value::as_list() const {
  return get_or_throw<List, const List>(data_, "list", *this);
}
const Value::Map& Value::as_map() const {
  return get_or_throw<Map, const Map>(data_, "map", *this);
}
Value::List& Value::as_list() {
  return get_or_throw<List, List>(data_, "list", *this);
}
Value::Map& Value::as_map() {
  return get_or_throw<Map, Map>(data_, "map", *this);
}

const Value* Value::find(std::string_view key) const {
  if (!is_map()) return nullptr;
  for (const auto& [k, v] : as_map())
    if (k == key) return &v;
  return nullptr;
}

Value& Value::operator[](std::string_view key) {
  if (is_null()) data_ = Map{};
  Map& map = as_map();
  for (auto& [k, v] : map)
    if (k == key) return v;
  return map.emplace_back(std::string(key), Value()).second;
}

void Value::push(Value v) {
  if (is_null()) data_ = List{};
  as_list().push_back(std::move(v));
}

const char* Value::kind() const {
  static constexpr const char* kNames[] = {"null", "boolean", "integer", "number", "text", "list", "map"};
  return kNames[data_.index()];
}

std::string Value::to_json() const {
  return to_nlohmann(*this).dump();
}

std::string Value::to_json_pretty() const {
  return to_nlohmann(*this).dump(2) + "\n";
}

Value Value::from_json(std::string_view text) {
  Builder builder;
  OrderedJson::sax_parse(text, &builder);
  return builder.take();
}

}  // namespace graft
