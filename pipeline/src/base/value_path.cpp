#include <graft/value_path.h>

namespace graft {

const Value* at_path(const Value& value, ValuePath path) {
  const Value* at = &value;
  for (const std::string_view name : path)
    if (at != nullptr) at = at->find(name);
  return at;
}

std::string text_at(const Value& value, ValuePath path) {
  const Value* at = at_path(value, path);
  if (at == nullptr || at->is_null()) return {};
  return at->is_string() ? at->as_string() : at->to_json();
}

std::optional<double> number_at(const Value& value, ValuePath path) {
  const Value* at = at_path(value, path);
  return at != nullptr && at->is_number() ? std::optional(at->as_double()) : std::nullopt;
}

std::uint64_t count_at(const Value& value, ValuePath path) {
  const Value* at = at_path(value, path);
  return at != nullptr && at->is_int() && at->as_int() >= 0 ? static_cast<std::uint64_t>(at->as_int()) : 0;
}

bool flag_at(const Value& value, ValuePath path) {
  const Value* at = at_path(value, path);
  return at != nullptr && at->is_bool() && at->as_bool();
}

const Value::Map& map_at(const Value& value, ValuePath path) {
  static const Value::Map kNone;
  const Value* at = at_path(value, path);
  return at != nullptr && at->is_map() ? at->as_map() : kNone;
}

const Value::List& list_at(const Value& value, ValuePath path) {
  static const Value::List kNone;
  const Value* at = at_path(value, path);
  return at != nullptr && at->is_list() ? at->as_list() : kNone;
}

}  // namespace graft
