#pragma once

#include <string>
#include <vector>

#include <graft/export.h>

namespace graft {

/// How a program ended.
struct ProgramEnd {
  int exit_code = 0;  ///< 128 + the signal for one that was killed.
  std::string out, err;
};

/// Where the program's standard error goes: into ProgramEnd::err, or to that of this process.
enum class ErrorOutput { Read, Shared };

/// Runs the program words[0], looked for in PATH, to its end and reads its output. `words` is not empty.
/// Throws Error where it cannot be started. Any thread.
GRAFT_API ProgramEnd run_to_end(const std::vector<std::string>& words,
                                ErrorOutput errors = ErrorOutput::Read);

}  // namespace graft
