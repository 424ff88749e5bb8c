#pragma once

#include <vector>

#include "config/diagnostics.h"
#include "config/plan.h"
#include "plugin/registry.h"

namespace graft {

/// The installed services that the parameters of a stage name, and those that these and the stage's own
/// plugin may need. By name.
std::vector<StagePlan::Service> services_of(const StagePlan& stage, const Registry& registry);

/// Warns if the plugin of a stage, or a service of it, hides another plugin or replaces a refused file.
void warn_of_hidden(const StagePlan& stage, const Registry& registry, Position at, Diagnostics& diagnostics);

}  // namespace graft
