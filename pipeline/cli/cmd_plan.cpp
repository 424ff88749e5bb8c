#include <fmt/format.h>

#include "config_command.h"
#include "output.h"
#include "run/runner.h"

namespace graft::cli {

int plan(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& path = only_argument(arguments, "CONFIG");
  Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, path, registry);
  if (!plan) return kUsage;
  RunOptions options;
  options.out = global.out;
  options.store = global.store;
  const PlanReport report = describe_plan(*plan, registry, options, !global.plan.no_sample);
  print_document(report.json);
  if (!global.json) say("{}", report.text);
  return kOk;
}

}  // namespace graft::cli
