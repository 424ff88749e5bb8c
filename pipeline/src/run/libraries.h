#pragma once

#include <string>
#include <vector>

#include <graft/export.h>

namespace graft {

struct LibraryVersion {
  std::string name, version;
};

/// The libraries of the core, as they are loaded.
GRAFT_API std::vector<LibraryVersion> core_libraries();

/// The version in the name of a shared library that this process has loaded, for libraries that do not report
/// theirs: "0.7.0" where "libyaml-cpp" is libyaml-cpp.so.0.7.0. "linked statically" if there is none.
GRAFT_API std::string version_of_file(const std::string& library);

/// The compiler that built the core: "GCC 12.2.0".
GRAFT_API std::string compiler();

}  // namespace graft
