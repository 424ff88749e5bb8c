#pragma once

#include <string>
#include <unordered_map>

#include <graft/params.h>
#include <graft/payload.h>

namespace graft::source {

/// Paths that a list names, and the folder that they must not leave: neither by "..", nor by being absolute,
/// nor through a symbolic link.
class RootedPaths {
 public:
  /// `allow_outside`: append to a source's parameters.
  static ParamSpec parameter();

  /// Throws Error when the folder cannot be found.
  RootedPaths(const std::string& root, const Params& params);

  /// The file that a path of the list means, with its size and time. Both are 0 when there is no such file
  /// and when it is outside the root: the runtime then remembers nothing of it. Opens nothing. One thread.
  FileRef look(const std::string& path);

  /// The file under its real path, to be read. Throws Reject `outside-root`. Any thread.
  FileRef checked(const FileRef& file) const;

 private:
  bool inside(const std::string& real) const;
  bool folder_inside(const std::string& folder);

  std::string root_, real_root_;
  bool allow_outside_;
  std::unordered_map<std::string, bool> folders_;  ///< Folders that files were looked for in: inside?
};

}  // namespace graft::source
