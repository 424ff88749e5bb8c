#include <fmt/format.h>

#include <graft/error.h>

#include "cluster_plan.h"
#include "config_command.h"
#include "output.h"

namespace graft::cli {
namespace {

ClusterShape shape_from(const std::string& text) {
  try {
    return ClusterShape::parse(text);
  } catch (const Error& e) {
    throw UsageError{fmt::format("--for: {}", e.what())};
  }
}

}  // namespace

int plan(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& path = only_argument(arguments, "CONFIG");
  std::optional<ClusterShape> shape;
  if (!global.plan.cluster.empty()) shape = shape_from(global.plan.cluster);
  if (global.plan.price && !shape)
    throw UsageError{"--price: expected --for, too: the price is of a task's hour"};
  check_price(global);
  Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, path, registry);
  if (!plan) return kUsage;
  const Sampling sampling = global.plan.no_sample ? Sampling::None : Sampling::Quick;
  const PlanReport report = shape ? plan_for_cluster(*plan, registry, global, *shape, sampling).report
                                  : describe_plan(*plan, registry, plan_options_of(global), sampling);
  print_document(report.json);
  if (!global.json) say("{}", report.text);
  return kOk;
}

}  // namespace graft::cli
