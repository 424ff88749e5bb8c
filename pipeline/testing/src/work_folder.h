#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include <graft/error.h>

namespace graft::testing {

/// A folder for the checkpoints of one fit, removed at the end.
class WorkFolder {
 public:
  WorkFolder() : path_((std::filesystem::temp_directory_path() / "graft-harness-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) throw Error("cannot make a temporary folder: " + path_);
  }
  ~WorkFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace graft::testing
