#pragma once

#include "config/config_file.h"
#include "config/plan.h"
#include "plugin/registry.h"

namespace graft {

/// Checks a config against the plugins' schemas and turns it into a plan. Reports every fault it can find to
/// `diagnostics`; when there is one, the plan is not to be used. Loads no plugin that has a schema file.
GRAFT_API Plan make_plan(const ConfigFile& config, const Registry& registry, Diagnostics& diagnostics);

}  // namespace graft
