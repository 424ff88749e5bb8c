#pragma once

#include <vector>

#include <graft/params.h>

#include "config/config_file.h"

namespace graft {

/// A map of parameters as it was written, for resolve() to check: texts stay as they stand there, whatever
/// they look like, and relative paths become absolute.
Value given_values(const std::vector<ParamSpec>& specs, const YamlNode& node, const ConfigFile& config);

}  // namespace graft
