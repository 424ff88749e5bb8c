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

void check_metric(const std::string& metric, const std::vector<FigureSpec>& specs) {
  std::vector<std::string> names;
  for (const FigureSpec& spec : specs) names.push_back(spec.name);
  if (metric.empty() || std::find(names.begin(), names.end(), metric) != names.end()) return;
  const auto near = nearest(metric, names);
  throw UsageError{fmt::format("--metric: '{}' is not a score of this config's reports{} (allowed: {})",
                               metric, near ? fmt::format("; did you mean '{}'?", *near) : "",
                               fmt::join(names, ", "))};
}

}  // namespace

int sweep(const Global& global, const std::vector<std::string>& arguments) {
  SweepOptions options;
  options.config = only_argument(arguments, "CONFIG");
  options.overrides = global.overrides;
  options.metric = global.sweep.metric;
  if (global.sweep.grids.empty() && global.sweep.list.empty())
    throw UsageError{"nothing to vary: give --grid \"knn.k=[1, 5, 10]\", or --list FILE"};
  Diagnostics diagnostics;
  options.points = sweep_points(global.sweep.grids, global.sweep.list, diagnostics);
  SweepFaults faults{diagnostics.render(), diagnostics.render_json(), diagnostics.errors()};
  if (tell(global, faults, options.config)) return kUsage;
  Registry registry(Registry::search_path(global.plugin_dirs));
  faults = {};
  const std::vector<SweepRun> runs = plan_sweep(options, registry, faults);
  if (tell(global, faults, options.config)) return kUsage;
  check_metric(options.metric, figure_specs(runs));

  options.run = prepare_to_run(global);
  Signals signals;
  const SweepOutcome outcome = run_sweep(runs, registry, options, signals);
  print_outcome(global, outcome.results, outcome.text, outcome.exit_code);
  return outcome.exit_code;
}

}  // namespace graft::cli
