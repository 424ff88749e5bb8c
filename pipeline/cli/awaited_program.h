#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "run/signals.h"

namespace graft::cli {

struct AwaitedProgram {
  std::vector<std::string> words;  ///< The program is looked for in PATH.
  /// Variables of the environment that it does not get.
  std::function<bool(std::string_view name)> hidden;
  bool reads_output = false;  ///< Its stdout goes into AwaitedEnd::out, not to that of this process.
  /// Called once when a signal asks to stop, with the process; when null, or when the program is still there
  /// 30 s later, it gets SIGTERM, and SIGKILL after another 10 s.
  std::function<void(pid_t)> interrupt;
};

struct AwaitedEnd {
  int exit_code = 0;  ///< 128 + the signal for one that was killed.
  std::string out;
};

/// Runs a program to its end, without input. It is in a process group of its own, so that Ctrl-C comes to it
/// by `interrupt` alone. Throws Error where it cannot be started.
AwaitedEnd run_awaited(const AwaitedProgram& program, const Signals& signals);

}  // namespace graft::cli
