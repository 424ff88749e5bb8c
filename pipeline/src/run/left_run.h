#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <graft/figure.h>
#include <graft/value.h>

#include "plugin/registry.h"

namespace graft {

/// \file
/// What runs have left in their folders, read again: for lists of runs, their differences, and `graft
/// predict`.

/// A JSON file of a run; an error names the file.
GRAFT_API Value read_json(const std::filesystem::path& file);
/// config.yaml of a run, as data.
GRAFT_API Value read_run_config(const std::filesystem::path& run);
/// The scores that the reports of a run's config declare, as far as their plugins are installed.
GRAFT_API std::vector<FigureSpec> figure_specs(const Value& config, const Registry& registry);
/// The learner of results.json that is best on val, of those in `learners`; empty: none has scores.
GRAFT_API std::string best_on_val(const Value& results, const std::vector<std::string>& learners,
                                  const std::vector<FigureSpec>& specs);

/// One run in a folder of runs.
struct LeftRun {
  std::filesystem::path folder;
  std::string state;     ///< "complete", "failed", "interrupted".
  std::string finished;  ///< "2026-11-30T07:00:00Z"; empty: it is not complete.
  std::optional<double> seconds;
  std::string data;  ///< Names of the sources' folders and files, else of their plugins: "hymenoptera".
  std::uint64_t inputs = 0, rejected = 0;
  std::string error;  ///< The first line, of a run that failed.
  std::string best;   ///< The learner that is best on val; empty: none has scores.
  struct Score {
    std::string split, heading;
    double value = 0;
    std::optional<std::pair<double, double>> interval;
  };
  std::optional<Score> score;  ///< Of the best, by its criterion: on test, else on val.
};

struct LeftRuns {
  std::vector<LeftRun> runs;  ///< The latest first; then those that are not complete.
  struct Damaged {
    std::filesystem::path folder;
    std::string why;
  };
  std::vector<Damaged> damaged;  ///< Runs that cannot be read, by their folder.
};

/// A complete run. Throws Error where the folder is none.
GRAFT_API LeftRun left_run(const std::filesystem::path& folder, const Registry& registry);
/// Every run below `root`; folders that are no run are left out. Throws Error where `root` cannot be read.
GRAFT_API LeftRuns left_runs(const std::filesystem::path& root, const Registry& registry);
GRAFT_API Value to_value(const std::vector<LeftRun>& runs);
/// A line per run, for a terminal of this many columns; 0: as many as needed.
GRAFT_API std::string to_text(const std::vector<LeftRun>& runs, std::size_t columns);

/// What is different between two complete runs: parameters, tables, inputs, scores. Throws Error where one is
/// no complete run.
struct RunDifference {
  struct Entry {
    std::string name, first, second;  ///< "-": it has none.
  };
  std::vector<Entry> config, data, scores;
};
GRAFT_API RunDifference difference_of(const std::filesystem::path& first, const std::filesystem::path& second,
                                      const Registry& registry);
GRAFT_API Value to_value(const RunDifference& difference);
GRAFT_API std::string to_text(const RunDifference& difference);

}  // namespace graft
