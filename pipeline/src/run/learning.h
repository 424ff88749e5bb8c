#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <graft/learner.h>

#include "config/plan.h"
#include "graph/workers.h"
#include "run/stage_factory.h"
#include "run/stream_run.h"
#include "store/digest_memo.h"

namespace graft {

/// What a learner or a calibrator left: its scores on val and test, and how long it took.
struct LearnerOutcome {
  std::size_t stage = 0;
  Predictions predictions;
  std::chrono::steady_clock::time_point begun = {}, ended = {};

  double seconds() const { return std::chrono::duration<double>(ended - begun).count(); }
};

/// Fits every learner and calibrator of the plan, one after the other with all threads, and scores test once.
/// `tables` maps a collector to its table and listing. Writes models/<stage>/, predictions/<stage>.csv and
/// neighbours/<stage>.csv under `out`. Throws Error with the stage's label.
class Learning {
 public:
  struct Table {
    const RunTable* table;
    const Listing* listing;
  };
  /// `why`: where people find why inputs were rejected, for messages.
  Learning(const Plan& plan, StageFactory& factory, Workers& workers, DigestMemo& memo,
           std::map<std::size_t, Table> tables, std::filesystem::path out, std::filesystem::path why,
           const std::atomic<bool>& interrupted);
  ~Learning();

  /// Who wants to know how far it is; by the ids of stages.
  struct Watcher {
    std::function<void(const std::string&)> started;
    std::function<void(const std::string&, const FitStep&)> step;
    std::function<void(const std::string& text)> warn = {};
  };
  /// Appends to `done` what was fitted, also what was before an error.
  void run(std::vector<LearnerOutcome>& done, const Watcher& watcher);
  /// Fits stages again on other rows; lives as long as this.
  Trials& trials() { return *trials_; }

 private:
  /// What one training sees, and what is scored with it: a set of rows for every input table.
  struct Rows {
    std::vector<std::unique_ptr<TableRows>> train, val, train_val, score;
  };
  class RunTrials;

  LearnerOutcome fit(std::size_t stage, const Watcher& watcher);
  LearnerOutcome calibrate(std::size_t stage, const Predictions& base);
  LearnerResult train(std::size_t stage, const Rows& rows, const std::filesystem::path& work,
                      std::function<void(const FitStep&)> progress = {});
  std::vector<Table> tables_of(std::size_t stage) const;
  std::string why_no_train_rows(std::size_t stage) const;
  /// Every score, checked. `what` names the rows in messages.
  Scores predict(std::size_t stage, const Predictor& predictor,
                 const std::vector<std::unique_ptr<TableRows>>& rows, Parallel& parallel, const char* what);
  CalibratorResult fit_calibrator(std::size_t stage, const Predictions& seen);
  void apply(std::size_t stage, const Calibration& calibration, Scores& scores);
  /// Writes models/<stage>/ from what `fill` puts into the bundle.
  void save(std::size_t stage, const std::function<void()>& fill, Bundle& bundle);
  void save_neighbours(std::size_t stage, const Predictor& predictor, const Rows& rows);
  template <typename T>
  void destroy(std::size_t stage, std::unique_ptr<T>& of_plugin) {
    const CallScope scope(factory_.label(stage), "destructor");
    of_plugin.reset();
  }

  const Plan& plan_;
  StageFactory& factory_;
  Workers& workers_;
  DigestMemo& memo_;
  const std::map<std::size_t, Table> tables_;
  const std::filesystem::path out_, why_;
  const std::atomic<bool>& interrupted_;
  std::unique_ptr<Trials> trials_;
};

/// The rows of the wanted inputs in every table, cut down to those that all tables have: one list per table,
/// all of the same length, in the order of the source.
std::vector<std::vector<TableRow>> common_rows(const std::vector<const RunTable*>& tables,
                                               const std::function<bool(std::uint32_t input)>& wanted);

/// The tensor of a bundle with the keys of the rows that a model was refit on, each ended by a zero byte:
/// what Predictor::neighbours names by their positions. In bundles with the fact `neighbours`.
inline constexpr const char* kTrainingKeys = "training_keys";
/// The fact of a bundle whose predictor lists neighbours: see Predictor::neighbours.
inline constexpr const char* kNeighboursFact = "neighbours";
Tensor training_keys(const RowSet& rows);
/// None where the bundle has no such tensor.
std::vector<std::string> training_keys(const Bundle& bundle);

/// Averages the scores of the views of each input; one row per input, in the order of the rows. `input_of`:
/// the input of each row; rows of one input are beside each other.
Scores average_views(std::span<const std::uint32_t> input_of, const Scores& scores);

/// The same, with what the rows say of the inputs.
GRAFT_API Predictions::Part average_views(const TableRows& rows, const Scores& scores);

/// key, split, label, predicted, one column per class. Labels and predictions are class names; the predicted
/// classes of a multi-label learner are those with a score of at least 0.5. The label is empty for unlabelled
/// inputs and for those with none of the classes; inputs.csv tells which is which.
GRAFT_API std::string predictions_csv(const Predictions& predictions);

}  // namespace graft
