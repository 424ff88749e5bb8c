#pragma once

#include <string>
#include <string_view>

#include <graft/markup.h>
#include <graft/value.h>

namespace graft::page {

/// JSON for a script element of type application/json: no `<` that could end it.
std::string script_json(const Value& value);

/// "0.9281", "12.3", "1.2e-05": four significant digits or decimals, for people. NaN: "-".
std::string number(double value);

/// "11.7 M", "1.82 G".
std::string large_number(double value);

/// "12,345".
std::string count(std::uint64_t n);

/// Standard base64 with padding.
std::string base64(std::string_view bytes);

}  // namespace graft::page
