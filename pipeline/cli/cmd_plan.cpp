#include <sys/resource.h>

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <graft/error.h>

#include "config_command.h"
#include "output.h"
#include "run/cluster_estimate.h"
#include "run/runner.h"

namespace graft::cli {
namespace {

ClusterShape shape_from(const std::string& text) {
  try {
    return ClusterShape::parse(text);
  } catch (const Error& e) {
    throw UsageError{fmt::format("--for: {}", e.what())};
  }
}

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
  return work;
}

}  // namespace

int plan(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& path = only_argument(arguments, "CONFIG");
  std::optional<ClusterShape> shape;
  if (!global.plan.cluster.empty()) shape = shape_from(global.plan.cluster);
  if (global.plan.price && !shape)
    throw UsageError{"--price: expected --for, too: the price is of a task's hour"};
  if (global.plan.price && !(*global.plan.price >= 0))
    throw UsageError{fmt::format("--price: expected 0 or more, got {}", *global.plan.price)};
  Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, path, registry);
  if (!plan) return kUsage;
  RunOptions options;
  options.out = global.out;
  options.store = global.store;
  PlanReport report = describe_plan(*plan, registry, options, !global.plan.no_sample);
  if (shape) {
    const ClusterEstimate estimate = estimate_on(*shape, work_of(*plan, report.json), global.plan.price);
    report.json["cluster"] = to_value(estimate);
    report.text += to_text(estimate);
  }
  print_document(report.json);
  if (!global.json) say("{}", report.text);
  return kOk;
}

}  // namespace graft::cli
