#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <graft/figure.h>

#include <metrics/metrics.h>

namespace graft {

/// One learner's scores on one split.
struct PartReport {
  std::vector<Figure> figures;
  // By class; all of them are empty where scores do not decide what a row is taken for.
  std::vector<metrics::ClassCounts> per_class;
  std::vector<metrics::ClassRanking> rankings;
  std::vector<metrics::ConfusionCell> confusion;     ///< With one label per row.
  std::vector<metrics::CalibrationBin> calibration;  ///< With one label per row, of probabilities.
  std::vector<std::string> keys;                     ///< Of the labelled rows of test; empty for val.
  std::vector<double> correct;                       ///< 1 or 0 for each of those.

  /// By the name that it has in the schema; nothing where it has no value.
  std::optional<double> value(const std::string& name) const;
  std::size_t n() const { return figures.at(0).n; }
};

/// What is known of one learner; a part without labelled rows is missing.
struct LearnerReport {
  std::string learner;
  std::vector<std::string> classes;
  metrics::LabelMode mode = metrics::LabelMode::Single;
  std::optional<PartReport> val, test;
};

/// The learner that is best on val, by what models are chosen by; the first where none has val; null where
/// there is none of the mode.
const LearnerReport* best_of(const std::vector<LearnerReport>& all, metrics::LabelMode mode);

/// Lines for a terminal: a table with a line per learner, of test, else of val; then where they fail.
/// Confusion matrices of learners with at most `confusion_up_to` classes; with more of them, the worst
/// classes and the pairs that are confused most often, of the learner that is best on val. Plain text, no
/// colour; ends with a newline. `terminal`: its columns; 0: as many as needed.
std::string text_report(const std::vector<LearnerReport>& all, std::size_t confusion_up_to,
                        std::size_t terminal);

}  // namespace graft
