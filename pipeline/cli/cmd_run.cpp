#include "config_command.h"
#include "run_command.h"

namespace graft::cli {

int run(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& path = only_argument(arguments, "CONFIG");
  Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, path, registry);
  if (!plan) return kUsage;

  const RunOptions options = prepare_to_run(global);
  Signals signals;
  const RunOutcome outcome = run_plan(*plan, registry, options, signals);
  print_outcome(global, outcome.results, outcome.text, outcome.exit_code);
  return outcome.exit_code;
}

}  // namespace graft::cli
