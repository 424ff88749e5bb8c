#include "run/retry.h"

#include <chrono>
#include <thread>

#include <fmt/format.h>

#include <graft/error.h>

#include "plugin/plugin_call.h"

namespace graft {
namespace {

/// Returns early when the run is interrupted.
void wait_seconds(double seconds, const std::atomic<bool>& interrupted) {
  using Clock = std::chrono::steady_clock;
  const auto end =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  while (!interrupted && Clock::now() < end) {
    note_progress();  // for the watchdog: it waits, it does not hang
    std::this_thread::sleep_until(std::min(end, Clock::now() + std::chrono::milliseconds(100)));
  }
}

}  // namespace

Bytes read_with_retries(const FileRef& file, const RunSettings& settings,
                        const std::atomic<bool>& interrupted) {
  double wait = settings.retry_backoff;
  for (std::size_t tries = 1;; ++tries, wait *= 2) try {
      return read_input_file(file);
    } catch (const Reject& e) {
      if (e.code() != "unreadable" || settings.retry_times == 0) throw;
      if (tries > settings.retry_times || interrupted)
        throw Reject(e.code(), fmt::format("{} (tried {} times)", e.what(), tries));
      wait_seconds(wait, interrupted);
    }
}

}  // namespace graft
