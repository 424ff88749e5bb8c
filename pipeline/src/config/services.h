#pragma once

#include <vector>

#include "config/plan.h"
#include "plugin/registry.h"

namespace graft {

/// The installed services that the parameters of a stage name, and those that these and the stage's own
/// plugin may need. By name.
std::vector<StagePlan::Service> services_of(const StagePlan& stage, const Registry& registry);

}  // namespace graft
