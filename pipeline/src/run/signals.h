#pragma once

#include <atomic>

#include <graft/export.h>

namespace graft {

/// SIGINT, SIGTERM and SIGHUP (a terminal that is closed; not under nohup) ask a run to stop: the first
/// drains and commits, the second leaves at once (the store is consistent at every moment). SIGUSR1 asks for
/// a snapshot of the stages. One instance at a time; the handlers before it come back when it goes.
class GRAFT_API Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// Set by the first signal. Lives as long as the process.
  const std::atomic<bool>& interrupted() const;
  /// 128 + the signal's number: 130, 143 or 129. 0 while there was none.
  int exit_code() const;
  /// True once for every SIGUSR1.
  bool take_snapshot_request();
};

}  // namespace graft
