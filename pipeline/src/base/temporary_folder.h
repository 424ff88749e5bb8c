#pragma once

#include <filesystem>
#include <string>

#include <graft/export.h>

namespace graft {

/// A folder of its own in the system's folder for temporary files, gone with the object.
class GRAFT_API TemporaryFolder {
 public:
  /// `name`: what its name begins with. Throws Error, which names TMPDIR.
  explicit TemporaryFolder(const std::string& name);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace graft
