#pragma once

#include <optional>
#include <string>
#include <vector>

#include "study.h"

namespace graft {

/// Everything that was found out. A part that was not asked for is empty.
struct Comparison {
  std::string against;  ///< The learner that the others are compared with.
  /// Of accuracy on test, one for every other learner, by the run's own predictions; items that both have.
  struct Difference {
    std::string learner;
    std::size_t n = 0;
    metrics::Interval accuracy;
  };
  std::vector<Difference> test;
  std::vector<CrossValidated> folds;
  std::vector<LearningCurve> curves;
  StudyOptions options;
  bool multi_label = false;
};

/// For a terminal of this many columns; 0: as many as needed.
std::string to_text(const Comparison& comparison, std::size_t columns);
/// For results.json: no seconds, so that two runs give the same.
Value to_value(const Comparison& comparison);
/// "folds.csv", "shots.csv", "differences.csv": a line for every trial, or learner.
std::map<std::string, std::string> to_files(const Comparison& comparison);

}  // namespace graft
