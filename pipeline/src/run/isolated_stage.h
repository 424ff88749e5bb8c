#pragma once

#include <functional>
#include <memory>

#include <graft/stage.h>

#include "config/plan.h"
#include "plugin/registry.h"
#include "run/isolated_process.h"

namespace graft {

/// Makes a transform or a batch transform whose calls run in processes of their own, one per call that runs
/// at the same time. Where a process crashes, leaves or hangs, another one takes its place, and the item is
/// tried again there if the process had worked on others before; then it is rejected. So what becomes of an
/// item depends on the item alone. The items of a batch are tried one by one.
///
/// `context`: what the stage is to be made from. `require_same_files`: called after each further process has
/// made its stage; throws Error where a file that stages read is another one by now, which ends the run.
/// Throws Error.
std::unique_ptr<Stage> make_isolated(const StagePlan& stage, const StageContext& context,
                                     const Registry& registry, const RunSettings& run,
                                     const std::atomic<bool>* interrupted,
                                     std::function<void()> require_same_files);

/// Whether a stage of that kind can be isolated.
GRAFT_API bool can_be_isolated(StageKind kind);

}  // namespace graft
