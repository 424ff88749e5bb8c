#pragma once

#include "config/config_file.h"
#include "config/plan.h"
#include "plugin/registry.h"

namespace graft {

/// Whether plugins with an `inspect` are loaded to check the files that parameters name.
enum class Inspect { Files, Nothing };

/// Checks a config against the plugins' schemas and turns it into a plan. Reports every error it can find to
/// `diagnostics`; if there is one, the plan must not be used. Of the plugins that have a schema file, it
/// loads only those with an `inspect`.
GRAFT_API Plan make_plan(const ConfigFile& config, const Registry& registry, Diagnostics& diagnostics,
                         Inspect inspect = Inspect::Files);

}  // namespace graft
