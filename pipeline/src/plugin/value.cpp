#include <graft/value.h>

#include <graft/error.h>

#include <cmath>
#include <nlohmann/json.hpp>

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

using Json = nlohmann::ordered_json;

Json to_nlohmann(const Value& v) {
  if (v.is_bool()) return v.as_bool();
  if (v.is_int()) return v.as_int();
  if (v.is_double()) return std::isfinite(v.as_double()) ? Json(v.as_double()) : Json(nullptr);
  if (v.is_string()) return v.as_string();
  if (v.is_list()) {
    Json out = Json::array();
    for (const Value& e : v.as_list()) out.push_back(to_nlohmann(e));
    return out;
  }
  if (v.is_map()) {
    Json out = Json::object();
    for (const auto& [key, e] : v.as_map()) out[key] = to_nlohmann(e);
    return out;
  }
  return nullptr;
}

// Deeper than anything that people write; the stack would hold more.
constexpr int kMaxDepth = 200;

Value from_nlohmann(const Json& j, int depth = 0) {
  if (depth > kMaxDepth) throw Error("JSON nested more than " + std::to_string(kMaxDepth) + " deep");
  switch (j.type()) {
    case Json::value_t::boolean:
      return j.get<bool>();
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return Value(j.get<std::int64_t>());
    case Json::value_t::number_float:
      return j.get<double>();
    case Json::value_t::string:
      return j.get<std::string>();
    case Json::value_t::array: {
      Value out = Value::list();
      for (const Json& e : j) out.push(from_nlohmann(e, depth + 1));
      return out;
    }
    case Json::value_t::object: {
      Value out = Value::map();
      for (const auto& [key, e] : j.items()) out[key] = from_nlohmann(e, depth + 1);
      return out;
    }
    default:
      return {};
  }
}

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

// Keys and texts may hold any bytes a file system allows; what is not UTF-8 is replaced, never thrown at.
std::string Value::to_json() const {
  return to_nlohmann(*this).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string Value::to_json_pretty() const {
  return to_nlohmann(*this).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Value Value::from_json(std::string_view text) {
  try {
    return from_nlohmann(Json::parse(text));
  } catch (const Json::parse_error& e) {
    throw Error("not valid JSON at byte " + std::to_string(e.byte));
  } catch (const Json::out_of_range&) {
    throw Error("not valid JSON: a number is too large");
  }
}

}  // namespace graft
