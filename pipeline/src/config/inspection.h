#pragma once

#include <functional>
#include <string>

#include <graft/stage.h>

#include "config/plan.h"
#include "plugin/registry.h"

namespace graft {

/// Calls `inspect` of a stage whose plugin has one (PluginSchema::inspects), which loads the plugin. Nothing
/// when it has none. Whatever is thrown, and shapes that are not one per output, become errors of the stage.
/// `note`: information that is not an error, printed as one line. `service`: StageContext::service, in a run.
GRAFT_API Inspection inspect_stage(const Plan& plan, std::size_t stage, const Registry& registry,
                                   const std::function<void(const std::string&)>& note,
                                   const std::function<Service&(const std::string&)>& service = {});

/// What a collector keeps: what flows in, in the type of its rows: "f16[512]" of "f32[512]".
std::string table_shape(const Plan& plan, std::size_t collector);

}  // namespace graft
