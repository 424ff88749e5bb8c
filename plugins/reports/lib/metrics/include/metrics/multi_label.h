#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <graft/predictor.h>

namespace graft::metrics {

/// One class of a multi-label problem, decided at a score of 0.5. A ratio without a denominator is 0.
struct LabelMetrics {
  std::size_t support = 0;    ///< Rows that have the label.
  std::size_t predicted = 0;  ///< Rows with a score of at least 0.5.
  double precision = 0, recall = 0, f1 = 0;
  /// Area under the precision-recall steps, sum (R_n - R_(n-1)) P_n over falling scores, equal scores taken
  /// together (scikit-learn's average_precision_score). 0 for a class without rows.
  double average_precision = 0;
};

/// How good probabilities of independent labels are; the names are scikit-learn's where it has the figure.
struct MultiLabelMetrics {
  std::size_t n = 0;
  double accuracy = 0;      ///< As in Score: rows whose set of labels is exactly right (accuracy_score).
  double hamming_loss = 0;  ///< Fraction of wrong decisions among rows x classes.
  double micro_f1 = 0;      ///< F1 of all decisions together.
  double macro_f1 = 0;      ///< Mean F1 over classes that have rows or were predicted.
  double mean_average_precision = 0;  ///< Over the classes that have rows.
  double log_loss = 0;                ///< As in Score: mean over rows x classes.
  double brier = 0;                   ///< Mean squared distance, summed over classes.
  std::vector<LabelMetrics> per_class;
};

/// `labels` has the classes of every row of `scores`, in [0, scores.classes). At least one row.
MultiLabelMetrics measure_multi_label(const Scores& scores,
                                      const std::vector<std::vector<std::int32_t>>& labels);

}  // namespace graft::metrics
