#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "run/progress.h"

namespace graft {

/// What a run prints, and its `log.txt`: that, and what the log level kept from being printed. Written line
/// by line, so that a killed run has one, too. Any thread. A line that cannot be written is lost: the log
/// must not end a run.
class RunLog {
 public:
  RunLog(const std::filesystem::path& file, LogLevel shown);
  /// Into the file alone.
  void add(std::string_view text) noexcept;
  /// Into the file, and onto the terminal where people want to read so much.
  void say(const std::string& text, LogLevel level = LogLevel::Info);
  /// The same as a warning, each text once: whether it is new.
  bool warn(const std::string& text);
  std::vector<std::string> warnings() const;

 private:
  std::mutex mutex_;
  FileHandle file_;
  const LogLevel shown_;
  mutable std::mutex warnings_mutex_;
  std::vector<std::string> warnings_;
};

}  // namespace graft
