#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <graft/predictor.h>

namespace graft::metrics {

/// Figures of one class against the rest; a ratio without a denominator is 0, as in scikit-learn.
struct ClassMetrics {
  double precision = 0;
  double recall = 0;
  double f1 = 0;
  std::size_t support = 0;    ///< Rows of this class.
  std::size_t predicted = 0;  ///< Rows that were taken for it.
};

/// A cell of a confusion matrix: rows of one class that were taken for one class.
struct ConfusionCell {
  std::uint32_t truth = 0, predicted = 0;
  std::size_t rows = 0;
  bool operator==(const ConfusionCell&) const = default;
};

/// Scores of class probabilities. The predicted class is the one with the highest score; ties go to the
/// lowest.
struct Metrics {
  std::size_t n = 0;
  double accuracy = 0;  ///< As in Score.
  /// Mean recall over the classes that have rows (scikit-learn's balanced_accuracy_score).
  double balanced_accuracy = 0;
  /// Mean F1 over the classes that have rows or were predicted (scikit-learn's f1_score, average="macro").
  double macro_f1 = 0;
  double log_loss = 0;  ///< As in Score.
  /// Expected calibration error, Guo et al. 2017: 15 bins (lo, hi] of equal width over the highest score;
  /// sum of fraction of rows x |accuracy - mean highest score|.
  double ece = 0;
  /// Mean over rows of the squared distance between scores and truth, summed over classes: 0 to 2.
  double brier = 0;
  std::vector<ClassMetrics> per_class;
  /// The cells that have rows, by true class, then by predicted class: at most n, however many classes.
  std::vector<ConfusionCell> confusion;
};

/// `labels` has one class in [0, scores.classes) per row of `scores`; scores are finite. At least one row.
Metrics measure(const Scores& scores, const std::vector<std::int32_t>& labels);

/// All cells, row-major, true class x predicted class. Quadratic in the classes: for few of them.
std::vector<std::size_t> dense_confusion(const Metrics& metrics);

/// Wilson score interval of a fraction of n trials at 95 % (Wilson 1927). n >= 1.
std::pair<double, double> wilson_interval(double share, std::size_t n);

}  // namespace graft::metrics
