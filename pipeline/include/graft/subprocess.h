#pragma once

#include <string>
#include <vector>

#include <graft/export.h>

namespace graft {

/// How a program ended.
struct ProgramEnd {
  int exit_code = 0;  ///< 128 + the signal for one that was killed; 127 where it cannot be started.
  std::string out, err;
};

enum class ErrorOutput { Read, Shared };

/// Runs a program that is looked for in PATH to its end, with its output read; its error output, too, or it
/// shares this process's. Throws Error where it cannot be started.
GRAFT_API ProgramEnd run_to_end(const std::vector<std::string>& words,
                                ErrorOutput errors = ErrorOutput::Read);

}  // namespace graft
