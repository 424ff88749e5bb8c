#pragma once

#include <string>
#include <vector>

namespace graft::cli {

/// How a program ended.
struct ProgramEnd {
  int exit_code = 0;  ///< 128 + the signal for one that was killed; 127 where it cannot be started.
  std::string out, err;
};

/// Runs a program that is looked for in PATH to its end, with its output read. Throws Error where it cannot
/// be started.
ProgramEnd run_to_end(const std::vector<std::string>& words);

}  // namespace graft::cli
