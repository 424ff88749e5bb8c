#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "config_command.h"
#include "output.h"
#include "run/sweep.h"
#include "run_command.h"

namespace graft::cli {
namespace {

/// Prints errors and warnings; true if there is an error.
bool tell(const Global& global, const SweepFaults& faults, const std::string& path) {
  print_error("{}", global.json ? faults.json : faults.text);
  if (faults.errors == 0) return false;
  const std::string text = fmt::format("{} error{} in the sweep of {}; nothing was run", faults.errors,
                                       faults.errors == 1 ? "" : "s", printable(path));
  print_faults(text, faults_from_lines(faults.json));
  if (!global.json) print_error("{}\n", text);
  return true;
}

}  // namespace

int sweep(const Global& global, const std::vector<std::string>& arguments) {
  SweepOptions options;
  options.config = only_argument(arguments, "CONFIG");
  options.overrides = global.overrides;
  options.metric = global.sweep.metric;
  if (global.sweep.grids.empty() && global.sweep.list.empty())
    throw UsageError{"nothing to vary: give --grid \"knn.k=[1, 5, 10]\", or --list FILE"};
  if (std::find(std::begin(kSweepMetrics), std::end(kSweepMetrics), options.metric) ==
      std::end(kSweepMetrics))
    throw UsageError{fmt::format("--metric: '{}' is not allowed here (allowed: {})", options.metric,
                                 fmt::join(kSweepMetrics, ", "))};
  Diagnostics diagnostics;
  options.points = sweep_points(global.sweep.grids, global.sweep.list, diagnostics);
  SweepFaults faults{diagnostics.render(), diagnostics.render_json(), diagnostics.errors()};
  if (tell(global, faults, options.config)) return kUsage;
  Registry registry(Registry::search_path(global.plugin_dirs));
  faults = {};
  const std::vector<SweepRun> runs = plan_sweep(options, registry, faults);
  if (tell(global, faults, options.config)) return kUsage;

  options.run = prepare_to_run(global);
  Signals signals;
  const SweepOutcome outcome = run_sweep(runs, registry, options, signals);
  print_outcome(global, outcome.results, outcome.text, outcome.exit_code);
  return outcome.exit_code;
}

}  // namespace graft::cli
