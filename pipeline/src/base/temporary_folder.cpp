#include "base/temporary_folder.h"

#include <stdlib.h>

#include <cerrno>
#include <system_error>

#include <graft/error.h>

#include "base/files.h"

namespace graft {
namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder(const std::string& name) {
  std::error_code error;
  const fs::path place = fs::temp_directory_path(error);
  if (error) throw Error("there is no folder for temporary files: set TMPDIR to one that can be written to");
  std::string pattern = (place / (name + "-XXXXXX")).string();
  if (::mkdtemp(pattern.data()) == nullptr)
    throw Error(file_error("make the folder", pattern, errno) +
                "; set TMPDIR to a folder that can be written to");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace graft
