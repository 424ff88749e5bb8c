#pragma once

#include <filesystem>
#include <mutex>
#include <string_view>

#include "base/files.h"

namespace graft {

/// `log.txt` in the folder of a run: what was printed, and what the log level kept from being printed.
/// Written line by line, so that a killed run has one, too. Any thread. A line that cannot be written is
/// lost: the log must not end a run.
class RunLog {
 public:
  explicit RunLog(const std::filesystem::path& file);
  void add(std::string_view text) noexcept;

 private:
  std::mutex mutex_;
  FileHandle file_;
};

}  // namespace graft
