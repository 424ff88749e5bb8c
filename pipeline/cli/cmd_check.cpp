#include <fmt/format.h>

#include "config_command.h"
#include "output.h"

namespace graft::cli {

int check(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& path = only_argument(arguments, "CONFIG");
  const Registry registry(Registry::search_path(global.plugin_dirs));
  Value faults;
  const auto plan = read_plan(global, path, registry, &faults);
  if (!plan) return kUsage;
  Value document = Value::map();
  document["config"] = path;
  document["stages"] = plan->stages.size();
  document["faults"] = std::move(faults);  // warnings, all of them
  print_document(document);
  if (!global.quiet && !global.json) say("{}: no faults, {} stages\n", printable(path), plan->stages.size());
  return kOk;
}

}  // namespace graft::cli
