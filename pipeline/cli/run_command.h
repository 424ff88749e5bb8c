#pragma once

#include <functional>
#include <optional>
#include <string>

#include "commands.h"
#include "run/runner.h"

namespace graft::cli {

/// Command-line options of commands that run configs. Also sets malloc up for running networks.
/// Throws UsageError.
RunOptions prepare_to_run(const Global& global);

/// The command run. `text`: the content of a config that is not written yet; `checked` is called between the
/// check of the config, which found no fault, and the run.
int run_config(const Global& global, const std::string& path, const std::optional<std::string>& text = {},
               const std::function<void()>& checked = {});

/// Prints what a run or a sweep gives: `results` with --json, else `text`; that alone with a bad exit code.
void print_outcome(const Global& global, const Value& results, const std::string& text, int exit_code);

}  // namespace graft::cli
