#pragma once

#include "commands.h"
#include "run/runner.h"

namespace graft::cli {

/// Command-line options of commands that run configs. Also sets malloc up for running networks.
/// Throws UsageError.
RunOptions prepare_to_run(const Global& global);

/// Prints what a run or a sweep gives: `results` with --json, else `text`; that alone with a bad exit code.
void print_outcome(const Global& global, const Value& results, const std::string& text, int exit_code);

}  // namespace graft::cli
