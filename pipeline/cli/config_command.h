#pragma once

#include <optional>
#include <string>

#include "commands.h"
#include "config/plan.h"
#include "plugin/registry.h"

namespace graft::cli {

/// Reads and checks a config for a command. Prints the faults and warnings; nothing when there was a fault.
std::optional<Plan> read_plan(const Global& global, const std::string& path, const Registry& registry);

}  // namespace graft::cli
