#pragma once

#include <string>
#include <string_view>

#include <graft/export.h>

namespace graft {

/// A field as RFC 4180 wants it; text that a spreadsheet would run as a formula is left alone, but quoted.
/// Any thread.
GRAFT_API std::string csv_field(std::string_view text);

}  // namespace graft
