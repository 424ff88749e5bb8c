#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "config/plan.h"
#include "graph/meter.h"
#include "run/signals.h"
#include "run/stream_run.h"

namespace graft {

/// How a run talks to people while it works.
struct ProgressStyle {
  bool quiet = false;
  bool terminal = false;  ///< A bar that is redrawn; otherwise a line every 10 s.
  bool color = false;
};

/// Watches a running stream from a thread of its own: draws the progress, answers SIGUSR1, speaks up when
/// nothing finishes for `run.stall_seconds`, and ends the process when an interrupted run has not drained in
/// time.
class Monitor {
 public:
  Monitor(const Plan& plan, StreamRun& run, const Meter& meter, Signals& signals, const ProgressStyle& style);
  ~Monitor();

 private:
  using Clock = std::chrono::steady_clock;
  void work();
  void draw(bool last);
  void watch(Clock::time_point now);
  void enforce_deadline(Clock::time_point now);

  const Plan& plan_;
  StreamRun& run_;
  const Meter& meter_;
  Signals& signals_;
  const ProgressStyle style_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point last_line_ = start_, last_change_ = start_, interrupted_at_{};
  std::uint64_t last_total_ = 0;
  bool drawn_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

/// One line per stage: items running, queued, finished, rejected, busy time. For SIGUSR1 and the watchdog.
GRAFT_API std::string stage_snapshot(const Plan& plan, const Meter& meter);

}  // namespace graft
