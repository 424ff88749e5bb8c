#pragma once

#include <optional>
#include <string>

#include "commands.h"
#include "config/plan.h"
#include "plugin/registry.h"

namespace graft::cli {

/// Reads and checks a config for a command. Prints the faults and warnings, and gives them in `faults`;
/// nothing when there was a fault: with --json, the document then says so.
std::optional<Plan> read_plan(const Global& global, const std::string& path, const Registry& registry,
                              Value* faults = nullptr);

/// Faults as Diagnostics::render_json gives them, as a list.
Value faults_from_lines(const std::string& lines);
/// With --json: the document of a command that found faults in a config.
void print_faults(const std::string& text, Value faults);

}  // namespace graft::cli
