#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include <graft/export.h>
#include <graft/value.h>

namespace graft {

/// \file
/// What is at a path of names in maps of maps: for documents of which any part may be missing or of another
/// kind, such as the results of a run. Any thread.

using ValuePath = std::initializer_list<std::string_view>;

/// nullptr where a name of the path is missing.
GRAFT_API const Value* at_path(const Value& value, ValuePath path);
/// Text as it is, anything else as JSON; empty where there is nothing, or null.
GRAFT_API std::string text_at(const Value& value, ValuePath path);
GRAFT_API std::optional<double> number_at(const Value& value, ValuePath path);
/// 0 where there is no integer of 0 or more.
GRAFT_API std::uint64_t count_at(const Value& value, ValuePath path);
/// Whether there is `true`.
GRAFT_API bool flag_at(const Value& value, ValuePath path);
/// Empty where there is none. They live as long as `value`.
GRAFT_API const Value::Map& map_at(const Value& value, ValuePath path);
GRAFT_API const Value::List& list_at(const Value& value, ValuePath path);
const Value* at_path(Value&& value, ValuePath path) = delete;
const Value::Map& map_at(Value&& value, ValuePath path) = delete;
const Value::List& list_at(Value&& value, ValuePath path) = delete;

}  // namespace graft
