#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

namespace graft {

/// For threads that do something every now and then (std::jthread ends them): waits for `time`, and says
/// whether it was asked to stop in the meantime, which ends the wait.
inline bool stopped_within(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never_notified;
  std::unique_lock lock(mutex);
  return never_notified.wait_for(lock, stop, time, [&] { return stop.stop_requested(); });
}

}  // namespace graft
