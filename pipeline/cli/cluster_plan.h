#pragma once

#include "commands.h"
#include "config/plan.h"
#include "plugin/registry.h"
#include "run/cluster_estimate.h"
#include "run/runner.h"

namespace graft::cli {

/// The plan of a config, with an estimate of what it comes to on the machines of `shape`, measured here: at
/// the end of the text, and as "cluster" in the JSON. `price`: of an hour of one task.
struct ClusterPlan {
  PlanReport report;
  ClusterEstimate estimate;
};
ClusterPlan plan_for_cluster(const Plan& plan, Registry& registry, const Global& global,
                             const ClusterShape& shape, Sampling sampling);

/// What describe_plan() needs of the command line.
RunOptions plan_options_of(const Global& global);

/// Throws UsageError for a price that is none.
void check_price(const Global& global);

}  // namespace graft::cli
