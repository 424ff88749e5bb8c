#include <fmt/format.h>

#include "config_command.h"

namespace graft::cli {

int check(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& path = only_argument(arguments, "CONFIG");
  const Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, path, registry);
  if (!plan) return kUsage;
  if (!global.quiet && !global.json) fmt::print("{}: no faults, {} stages\n", path, plan->stages.size());
  return kOk;
}

}  // namespace graft::cli
