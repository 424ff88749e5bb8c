#include "run/run_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include <graft/printable.h>

namespace graft {

RunLog::RunLog(const std::filesystem::path& file, LogLevel shown)
    : file_(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)), shown_(shown) {}

void RunLog::add(std::string_view text) noexcept {
  const std::lock_guard lock(mutex_);
  while (file_ && !text.empty()) {
    const ssize_t n = ::write(file_.get(), text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

void RunLog::say(const std::string& text, LogLevel level) {
  add(printable_lines(text));
  if (shown_ >= level) print_to_terminal(text);
}

bool RunLog::warn(const std::string& text) {
  const std::lock_guard lock(warnings_mutex_);
  if (std::find(warnings_.begin(), warnings_.end(), text) != warnings_.end()) return false;
  warnings_.push_back(text);
  say("warning: " + printable_lines(text, "  ") + "\n", LogLevel::Warning);
  return true;
}

std::vector<std::string> RunLog::warnings() const {
  const std::lock_guard lock(warnings_mutex_);
  return warnings_;
}

}  // namespace graft
