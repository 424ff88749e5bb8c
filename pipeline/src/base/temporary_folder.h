#pragma once

#include <filesystem>
#include <string>

#include <graft/export.h>

#include "base/files.h"

namespace graft {

/// A folder of its own in the system's folder for temporary files, gone with the object. Its process holds a
/// lock on it: those that killed processes have left are removed when the next one is made.
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
  FileHandle lock_;
};

/// In a handler of `error`: throws it again; where it says that the folder is full, with what to do: to set
/// TMPDIR, or `else_do`.
[[noreturn]] GRAFT_API void rethrow_with_cure_for_full_folder(const TemporaryFolder& folder,
                                                              const Error& error,
                                                              const std::string& else_do = {});

/// Removes the folders of all TemporaryFolders that live, before a process ends without destructors.
GRAFT_API void remove_temporary_folders() noexcept;

}  // namespace graft
