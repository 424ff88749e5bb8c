#pragma once

#include <vector>

#include <graft/params.h>

#include "config/config_file.h"

namespace graft {

/// A map of parameters as it was written, for resolve() to check: texts stay as they stand there, whatever
/// they look like, and relative paths become absolute.
Value given_values(const std::vector<ParamSpec>& specs, const YamlNode& node, const ConfigFile& config);

/// "normalize.mean" in its parts.
std::vector<std::string> parts_of(const std::string& param);

/// Where a parameter stands below a stage's `with`, or as much of its path as was written; `fallback`: none
/// of it. `at_key`: the place of its last key in place of the value.
Position place_of(const YamlNode& with, const std::vector<std::string>& path, bool at_key, Position fallback);

}  // namespace graft
