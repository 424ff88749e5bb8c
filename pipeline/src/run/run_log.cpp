#include "run/run_log.h"

#include <fcntl.h>
#include <unistd.h>

namespace graft {

RunLog::RunLog(const std::filesystem::path& file)
    : file_(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {}

void RunLog::add(std::string_view text) noexcept {
  const std::lock_guard lock(mutex_);
  while (file_ && !text.empty()) {
    const ssize_t n = ::write(file_.get(), text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace graft
