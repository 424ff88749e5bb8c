#pragma once

#include <functional>
#include <string>
#include <vector>

#include <graft/params.h>
#include <graft/value.h>

namespace graft {

/// Calls `visit` for every parameter of a stage that names an input file by a path, not by one of the names
/// that or_name() allows: with its address, "model", "normalize.mean" for a member, "files.0" for the element
/// of a list, and its value, which may be changed. `with`: the parameters, resolved.
GRAFT_API void visit_files(const std::vector<ParamSpec>& specs, Value& with,
                           const std::function<void(const std::string& address, Value& path)>& visit);

}  // namespace graft
