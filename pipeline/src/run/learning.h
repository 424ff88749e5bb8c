#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "config/plan.h"
#include "graph/workers.h"
#include "run/stage_factory.h"
#include "run/stream_run.h"

namespace graft {

/// What a learner left: its scores on val and test, and how long it took.
struct LearnerOutcome {
  std::size_t stage = 0;
  Predictions predictions;
  double seconds = 0;
};

/// Fits every learner of the plan, one after the other with all threads, and scores test once. `tables` maps
/// a collector to its table and listing. Writes models/<stage>/ and predictions/<stage>.csv under `out`.
/// Throws Error with the learner's label.
class Learning {
 public:
  struct Table {
    const RunTable* table;
    const Listing* listing;
  };
  Learning(const Plan& plan, StageFactory& factory, Workers& workers, std::map<std::size_t, Table> tables,
           std::filesystem::path out, const std::atomic<bool>& interrupted);

  std::vector<LearnerOutcome> run(const std::function<void(const std::string&)>& started);

 private:
  LearnerOutcome fit(std::size_t stage);

  const Plan& plan_;
  StageFactory& factory_;
  Workers& workers_;
  const std::map<std::size_t, Table> tables_;
  const std::filesystem::path out_;
  const std::atomic<bool>& interrupted_;
};

/// Averages the scores of the views of each input; one row per input, in the order of the rows. `input_of`
/// gives the listing position of a row.
GRAFT_API Predictions::Part average_views(const TableRows& rows, const Scores& scores);

/// key, split, label, predicted, one column per class. Labels and predictions are class names.
GRAFT_API std::string predictions_csv(const Predictions& predictions);

/// A field as RFC 4180 wants it; text that a spreadsheet would run as a formula is left alone, but quoted.
GRAFT_API std::string csv_field(std::string_view text);

}  // namespace graft
