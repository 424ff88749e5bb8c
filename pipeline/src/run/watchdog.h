#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <thread>

#include "config/plan.h"
#include "graph/meter.h"
#include "run/signals.h"

namespace graft {

/// Watches a run from a thread of its own, from the first plugin that is loaded to the last that is
/// destroyed. When no plugin is called or returns, no block of a learner's work ends and no row is written
/// for `run.stall_seconds`, it says what hangs; after `run.stall_limit` it ends the process with exit code 1.
class GRAFT_API Watchdog {
 public:
  /// `leave` gets the error, saves what can be saved and returns what to print; it is called from a thread
  /// of its own.
  Watchdog(const Plan& plan, const Meter& meter, const Signals& signals,
           std::function<std::string(const std::string&)> leave);

 private:
  void work(const std::stop_token& stop);
  void report() const;
  [[noreturn]] void end_run() const;

  const Plan& plan_;
  const Meter& meter_;
  const Signals& signals_;
  const std::function<std::string(const std::string&)> leave_;
  std::jthread thread_;
};

}  // namespace graft
