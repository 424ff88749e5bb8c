#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/plan.h"
#include "config/sweep_points.h"
#include "plugin/registry.h"
#include "run/figures.h"
#include "run/runner.h"
#include "run/signals.h"

namespace graft {

struct SweepOptions {
  std::filesystem::path config;
  std::vector<std::string> overrides;  ///< Of --set, for every combination.
  std::vector<SweepPoint> points;      ///< What each combination adds to them.
  std::string metric;                  ///< The score on val that is best; empty: the reports' criterion.
  RunOptions run;                      ///< `out` empty: runs/<name>-sweep.
};

/// One combination, checked.
struct SweepRun {
  std::string id;                                        ///< "001": its folder below `out`.
  std::vector<std::pair<std::string, std::string>> set;  ///< Key and value, as they were written; YAML.
  Plan plan;
};

/// Faults of all combinations, each once.
struct SweepFaults {
  std::string text, json;  ///< As Diagnostics renders them; warnings, too.
  std::size_t errors = 0;
};

/// The scores that the combinations' reports declare, each name once: what a metric may be.
GRAFT_API std::vector<FigureSpec> figure_specs(const std::vector<SweepRun>& runs);

/// Checks every combination, before any work.
GRAFT_API std::vector<SweepRun> plan_sweep(const SweepOptions& options, const Registry& registry,
                                           SweepFaults& faults);

/// What became of a combination.
struct SweepRow {
  struct Learner {
    std::string id;
    std::optional<SplitFigures> val;  ///< Nothing: no report has scores of it on val.
    double seconds = 0;               ///< Of its fit.
  };
  struct File {
    std::string key;  ///< A varied parameter that is a file.
    std::uint64_t bytes = 0;
  };
  const SweepRun* run = nullptr;
  int exit_code = 0;  ///< 0, or 3: too many rejects.
  std::string error;  ///< Why it failed; empty: it did not.
  std::vector<Learner> learners;
  double stream_seconds = 0;
  std::uint64_t computed = 0, reused = 0;  ///< Rows of all tables.
  std::vector<File> files;
};

/// The best line of a table: the only one of which test figures are told.
struct SweepBest {
  std::size_t row, learner;
  std::string metric;  ///< By which it is the best.
  std::optional<SplitFigures> test;
};

struct SweepOutcome {
  int exit_code = 0;  ///< 0; 1: a combination failed, or none has figures on val; 3, 130, 143: as run_plan.
  Value results;      ///< sweep.json.
  std::string text;   ///< For the terminal.
};

/// Runs the combinations one after the other, all on one store, each into <out>/<id>, and leaves sweep.csv,
/// sweep.json and best.yaml in <out>. A combination that was finished by an earlier call with the same
/// resolved config, plugins, tables and inputs is not run again. Throws Error when `out` cannot be written.
GRAFT_API SweepOutcome run_sweep(const std::vector<SweepRun>& runs, Registry& registry,
                                 const SweepOptions& options, Signals& signals);

/// The best by a metric on val; ties go by the TieBreak of the declarations, then to the earlier. An empty
/// metric stands for the first Criterion that a learner has. Nothing when no learner has the score. Test
/// scores are not looked at and not filled in.
GRAFT_API std::optional<SweepBest> best_of(const std::vector<SweepRow>& rows,
                                           const std::vector<FigureSpec>& specs, std::string metric);

}  // namespace graft
