#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <graft/export.h>
#include <graft/figure.h>
#include <graft/predictor.h>
#include <graft/report_section.h>
#include <graft/run_record.h>
#include <graft/stage.h>
#include <graft/table.h>

/// \file
/// The stages downstream of the tables: learners, what corrects their scores, what compares them.

namespace graft {

/// One input table of a learner. Test rows are not in it. The rows outlive what is fitted on them, so that a
/// predictor may read them.
struct TrainingTable {
  std::string stage;        ///< The stage that made the table.
  const RowSet* train;      ///< Fit on these.
  const RowSet* val;        ///< Choose hyper-parameters, stop and calibrate on these. May be empty.
  const RowSet* train_val;  ///< Refit on these once the choice is made.
};

/// How far a fit is: for the line of progress, and for curves that people see grow.
struct FitStep {
  std::string what;                 ///< "epoch", "candidate"; another one begins another curve.
  std::size_t done = 0, total = 0;  ///< Steps; a total of 0: not known.
  std::vector<std::pair<std::string, double>> scores;  ///< "train_loss", "val_accuracy", ...
};

struct GRAFT_API LearnerInput {
  std::vector<TrainingTable> tables;  ///< Aligned row by row when there are several.
  std::vector<std::string> classes;
  /// All threads of the run. On SIGINT, SIGTERM and SIGHUP it throws Interrupted, which fit lets through.
  Interruptible& parallel;
  std::string work_folder;  ///< For checkpoints; exists, kept between runs of one config.
  /// Some train or val input of the source has several labels, or is labelled with none of the classes: every
  /// class is a question of its own, and scores are probabilities that need not add up to 1. Learners that
  /// cannot do that throw Error.
  bool multi_label = false;
  /// To be called after each epoch or candidate; may be empty. Changes no result.
  std::function<void(const FitStep&)> progress = {};

  /// Calls it, where there is one: with the numbers of `point` whose names begin with train_ or val_.
  void report_step(const char* what, std::size_t done, std::size_t total, const Value& point) const;
};

struct LearnerResult {
  std::unique_ptr<Predictor> predictor;  ///< The final model, refit on train + val.
  Scores val;     ///< Scores of the val rows by the model that was chosen, before the refit.
  Value summary;  ///< Chosen parameters, objective values, sweeps, curves: as data, for reports.
};

/// Tables in, a predictor out. Runs alone, with all threads. Test rows cannot be reached from here. fit may
/// be called several times, on different rows: nothing of one call may show in the next.
class GRAFT_API Learner : public Stage {
 public:
  virtual LearnerResult fit(const LearnerInput& input) = 0;
  /// Rebuilds a predictor from what Predictor::save wrote. Throws Error naming what is missing or mis-shaped.
  virtual std::unique_ptr<Predictor> load(const Bundle& bundle) const = 0;
};

/// A learner's scores, item by item (views averaged), next to the truth.
struct Predictions {
  struct Part {
    std::vector<std::string> keys;
    std::vector<std::vector<std::int32_t>> labels;
    Scores scores;
    /// By item: as Entry::negative. Shorter than `keys`: false for the others.
    std::vector<bool> negative = {};

    bool labelled(std::size_t item) const {
      return !labels[item].empty() || (item < negative.size() && negative[item]);
    }
  };
  std::string learner;
  std::vector<std::string> classes;
  Part val, test;
  Value summary;  ///< LearnerResult::summary.
  bool multi_label = false;
};

/// What keeps scores from being class probabilities: numbers from 0 to 1 which, with one label per row, add
/// up to 1. A thousandth more or less is rounding.
struct GRAFT_API ImproperScores {
  std::size_t rows = 0;               ///< How many are no probabilities.
  std::size_t first = 0;              ///< The first of them,
  std::optional<std::size_t> column;  ///< its score that is none; nothing: each is one, but not their sum,
  double got = 0;                     ///< and the score or the sum.
  bool has_order = true;  ///< False: some score is not a number, so that none of its row is the highest.

  /// "'cat.jpg' has the score 3 for class 'cats'", "the scores of 'cat.jpg' add up to 1.7". `key`: of the
  /// first.
  std::string describe(const std::string& key, const std::vector<std::string>& classes) const;
};
/// Nothing: all of them are probabilities.
GRAFT_API std::optional<ImproperScores> improper_scores(const Scores& scores, bool multi_label);

/// A correction of scores that was fitted. Immutable; any thread.
class GRAFT_API Calibration {
 public:
  virtual ~Calibration();
  virtual void apply(Scores& scores) const = 0;
  /// Everything that Calibrator::load needs to give the same scores to the last bit.
  virtual void save(Bundle& bundle) const = 0;
};

struct CalibratorResult {
  std::unique_ptr<Calibration> calibration;
  Value summary;  ///< As LearnerResult::summary.
};

/// A predictor in, the same predictor with better scores out. It sees the scores of val alone, by the model
/// that was chosen there; `predictions.test` is empty.
class GRAFT_API Calibrator : public Stage {
 public:
  virtual CalibratorResult fit(const Predictions& predictions) = 0;
  virtual std::unique_ptr<Calibration> load(const Bundle& bundle) const = 0;
};

/// Fits stages of the run again on other rows: for cross-validation and learning curves. One thread.
class GRAFT_API Trials {
 public:
  virtual ~Trials();
  /// An input of which the learner's tables have a row.
  struct Input {
    std::string key;
    std::vector<std::int32_t> labels;
    Split split = Split::Train;
    bool negative = false;  ///< As Entry::negative.

    bool labelled() const { return negative || !labels.empty(); }
  };
  /// Positions in inputs().
  struct Rows {
    std::vector<std::size_t> train, val;  ///< Ascending; of train and val inputs alone. `val` may be empty.
    std::vector<std::size_t> score;       ///< Ascending, of any split, none of them in train or val.
  };
  struct Result {
    Predictions::Part scores;  ///< Of Rows::score, by the model refit on train + val.
    double seconds = 0;
  };
  /// What a learner of the run, or a calibrator, was made from, in the order of the source.
  virtual const std::vector<Input>& inputs(const std::string& learner) = 0;
  /// Trains it again. Throws Error when rows break the rules above, and what the learner throws.
  virtual Result fit(const std::string& learner, const Rows& rows) = 0;
};

struct ReportInput {
  const std::vector<Predictions>& predictions;  ///< One for every stage in `from`, in that order.
  Trials& trials;
  Interruptible& parallel;  ///< As LearnerInput::parallel.
  RunRecord& run;
  std::size_t columns = 0;  ///< Of the terminal, for ReportOutput::text; 0: as many as needed.
};

struct ReportOutput {
  /// Scores of the learners: into results.json as learners.ID.SPLIT.NAME, with NAME_interval beside it; for
  /// `graft sweep`, `graft predict` and later reports, too.
  std::vector<Figure> figures;
  /// What else is known of learners: id -> {"val": {...}, "test": {...}}, merged into `learners` of
  /// results.json, after the figures.
  Value learners = Value::map();
  Value facts;       ///< What concerns several learners: `reports`.ID of results.json, unless null.
  std::string text;  ///< For the terminal.
  std::map<std::string, std::string> files;  ///< Name -> content, for the folder reports/ID of the run.
  /// Parts of report.html, as data: for a report that is made after this one and gives a page.
  std::vector<ReportSection> sections;
  /// HTML, unless empty: report.html of the run; of the second report that gives one reports/ID/report.html.
  /// It is made again where a later report fails: RunRecord::manifest() then has `error`.
  std::string page;
};

/// Predictions in, scores and files out.
class GRAFT_API Report : public Stage {
 public:
  virtual ReportOutput report(const ReportInput& input) = 0;
};

}  // namespace graft
