#include "cluster_plan.h"

#include <sys/resource.h>

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace graft::cli {
namespace {

/// What the report says of the rows to compute. Tables of one source are filled by one stream.
WorkToDo work_of(const Plan& plan, const Value& report) {
  struct Stream {
    double seconds = 0, start = 0;
    std::uint64_t inputs = 0;
  };
  std::map<std::size_t, Stream> streams;
  WorkToDo work;
  work.core_seconds = 0;
  for (const Value& table : report.find("tables")->as_list()) {
    const auto inputs = static_cast<std::uint64_t>(table.find("inputs_to_compute")->as_int());
    if (inputs == 0) continue;
    const auto stage = std::find_if(plan.stages.begin(), plan.stages.end(), [&](const StagePlan& s) {
      return s.id == table.find("stage")->as_string();
    });
    Stream& stream = streams[stage->source];
    stream.inputs = std::max(stream.inputs, inputs);
    if (table.find("seconds")->is_null()) {
      work.core_seconds.reset();
      work.why_not = table.find("time")->as_string();
      continue;
    }
    stream.seconds = std::max(stream.seconds, table.find("seconds")->as_double());
    stream.start = std::max(stream.start, table.find("start_seconds")->as_double());
  }
  for (const auto& [source, stream] : streams) {
    work.inputs += stream.inputs;
    work.start_seconds += stream.start;
    if (work.core_seconds) *work.core_seconds += (stream.seconds - stream.start) * plan.run.threads;
  }
  const Value* disk = report.find("resources")->find("disk_bytes");
  if (!disk->is_null()) work.disk_bytes = static_cast<std::uint64_t>(disk->as_int());
  // The sample has made the stages and had items in flight, with the whole list in memory.
  rusage usage{};
  if (work.core_seconds && work.inputs > 0 && ::getrusage(RUSAGE_SELF, &usage) == 0)
    work.memory_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  work.machine = this_machine();
  return work;
}

}  // namespace

RunOptions plan_options_of(const Global& global) {
  RunOptions options;
  options.out = global.out;
  options.store = global.store;
  return options;
}

ClusterPlan plan_for_cluster(const Plan& plan, Registry& registry, const Global& global,
                             const ClusterShape& shape, Sampling sampling) {
  PlanReport report = describe_plan(plan, registry, plan_options_of(global), sampling);
  ClusterEstimate estimate = estimate_on(shape, work_of(plan, report.json), global.plan.price);
  report.json["cluster"] = to_value(estimate);
  report.text += to_text(estimate);
  return {std::move(report), std::move(estimate)};
}

void check_price(const Global& global) {
  if (global.plan.price && !(*global.plan.price >= 0))
    throw UsageError{fmt::format("--price: expected 0 or more, got {}", *global.plan.price)};
}

}  // namespace graft::cli
