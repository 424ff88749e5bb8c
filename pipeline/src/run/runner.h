#pragma once

#include <filesystem>
#include <string>

#include "config/plan.h"
#include "plugin/registry.h"
#include "run/live_run.h"
#include "run/progress.h"
#include "run/signals.h"

namespace graft {

struct RunOptions {
  std::filesystem::path out;    ///< Where the complete run goes; empty: runs/<name>.
  std::size_t keep = 1;         ///< Earlier complete runs that stay, as <out>.1, <out>.2, ...
  std::filesystem::path store;  ///< The feature store.
  std::string command;          ///< The command line, for the manifest and the hint how to resume.
  ProgressStyle style;
  std::filesystem::path trace;  ///< Where the trace of what threads did goes; empty: none is made.
  LiveRun* live = nullptr;      ///< Is told how far the run is, unless null.
  bool passing = false;         ///< The folder is removed after the run: messages do not name it.
  bool merge = false;  ///< Every row must be in the tables, by the workers of a job: nothing is computed.
};

struct RunOutcome {
  int exit_code = 0;    ///< 0, 3 (too many rejects), 130 or 143.
  Value results;        ///< results.json.
  std::string text;     ///< For the terminal.
  std::string profile;  ///< What limited the run, one line; empty: it did not come to its end.
};

/// Runs a plan: streams into tables, tables into learners, predictions into reports, and writes everything
/// that a run leaves into a folder that becomes `out` when it is complete (RunFolder). Throws Error when the
/// run fails, FatalError where another run would, too (a full disk); what it had is then in `<out>.failed`,
/// after an interruption in `<out>.interrupted`.
GRAFT_API RunOutcome run_plan(const Plan& plan, Registry& registry, const RunOptions& options,
                              Signals& signals);

/// Whether a plan computes some inputs for the time that all of them take (measure_speed).
enum class Sampling {
  None,
  Quick,     ///< Unless there are few of them, or LibTorch would have to be loaded.
  Thorough,  ///< Whatever it takes.
};

/// What `graft plan` prints, and the same for other programs.
struct PlanReport {
  std::string text;
  Value json;
};

/// Stages with ports and shapes, rows, what is stored and what will be computed, memory, disk and time to
/// expect. Opens the source plugins to list the inputs; writes nothing.
GRAFT_API PlanReport describe_plan(const Plan& plan, Registry& registry, const RunOptions& options,
                                   Sampling sampling);

}  // namespace graft
