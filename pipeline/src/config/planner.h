#pragma once

#include "config/config_file.h"
#include "config/plan.h"
#include "plugin/registry.h"

namespace graft {

/// Whether plugins with an `inspect` are loaded, so that it looks into the files that parameters name.
enum class Inspect { Files, Nothing };

/// Checks a config against the plugins' schemas and turns it into a plan. Reports every error it can find to
/// `diagnostics`; when there is one, the plan is not to be used. Of the plugins that have a schema file it
/// loads those with an `inspect` alone.
GRAFT_API Plan make_plan(const ConfigFile& config, const Registry& registry, Diagnostics& diagnostics,
                         Inspect inspect = Inspect::Files);

}  // namespace graft
