#pragma once

#include "config/plan.h"
#include "plugin/registry.h"
#include "run/runner.h"
#include "run/signals.h"
#include "store/slots.h"

namespace graft {

/// Works on a shard of a plan's job: computes the rows that the tables lack of the inputs in its slots, then
/// of those that it takes from workers that are gone or slow, and ends when nobody needs help. Learners and
/// reports wait for the run that merges; nothing is written but the store. Any number of processes, on any
/// machines that share the store, may do so at once; the rows are those of a single run.
///
/// `out` and `keep` of the options are not used. Exit code 0, 130 or 143. Throws Error when it fails, and
/// where it does not belong to the job of that name (join_job); what was computed is stored.
GRAFT_API RunOutcome run_shard(const Plan& plan, Registry& registry, const RunOptions& options,
                               const WorkShard& shard, Signals& signals);

}  // namespace graft
