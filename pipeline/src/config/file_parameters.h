#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <graft/params.h>
#include <graft/value.h>

namespace graft {

/// Calls `visit` for every parameter of a stage that names an input file by a path, not by one of the names
/// that or_name() allows: with its address, "model", "normalize.mean" for a member, "files.0" for the element
/// of a list, its declaration, and its value, which may be changed. `with`: the parameters, resolved.
using VisitFile = std::function<void(const std::string& address, const ParamSpec& spec, Value& path)>;
GRAFT_API void visit_files(const std::vector<ParamSpec>& specs, Value& with, const VisitFile& visit);
/// The same, and for every parameter that names a folder.
GRAFT_API void visit_paths(const std::vector<ParamSpec>& specs, Value& with, const VisitFile& visit);

/// The files that the path of a parameter stands for: itself, or those of a folder that count (or_folder),
/// sorted. Throws Error for a folder that cannot be read.
GRAFT_API std::vector<std::filesystem::path> files_of(const ParamSpec& spec,
                                                      const std::filesystem::path& path);

}  // namespace graft
