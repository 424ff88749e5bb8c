#include <fmt/format.h>

#include "config_command.h"
#include "run_command.h"

namespace graft::cli {

int run(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& path = only_argument(arguments, "CONFIG");
  if (global.keep < 0) throw UsageError{fmt::format("--keep: expected 0 or more, got {}", global.keep)};
  Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, path, registry);
  if (!plan) return kUsage;

  RunOptions options = prepare_to_run(global);
  options.keep = static_cast<std::size_t>(global.keep);
  Signals signals;
  const RunOutcome outcome = run_plan(*plan, registry, options, signals);
  print_outcome(global, outcome.results, outcome.text, outcome.exit_code);
  return outcome.exit_code;
}

}  // namespace graft::cli
