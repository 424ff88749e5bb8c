#pragma once

#include <optional>
#include <string>

#include "commands.h"
#include "config/plan.h"
#include "plugin/registry.h"

namespace graft::cli {

/// Reads and checks a config for a command. Prints the errors and warnings, and returns them in `faults`.
/// Returns nothing if there was an error; with --json, the document then contains it. `text`: the content of
/// a config that is not written yet.
std::optional<Plan> read_plan(const Global& global, const std::string& path, const Registry& registry,
                              Value* faults = nullptr, const std::optional<std::string>& text = {});

/// Throws UsageError where the value of --model is neither a file nor a folder.
void require_network(const std::string& network);

/// Errors and warnings as a list, as in Diagnostics::render_json.
Value faults_from_lines(const std::string& lines);
/// With --json: the document of a command that found errors in a config.
void print_faults(const std::string& text, Value faults);

}  // namespace graft::cli
