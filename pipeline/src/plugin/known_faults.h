#pragma once

#include <string>
#include <vector>

#include <graft/value.h>

#include "plugin/registry.h"

namespace graft {

/// Why the rows of a table may be wrong: the known errors of the plugin versions that the table's description
/// (table.json) names. "engine_torch 1.0.0, corrected in 1.1.0: ...". Such a table is never used, since it is
/// named by those versions.
GRAFT_API std::vector<std::string> known_faults(const Value& description, const Registry& registry);

/// Whether "1.9.2" is below "1.10.0": numbers, compared from left to right.
GRAFT_API bool is_version_below(std::string_view a, std::string_view b);

}  // namespace graft
