#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace graft::metrics {

/// Accuracy and log loss, as `evaluate` reports them and learners choose by them:
///
/// One label per row: the ratio of rows whose highest score is that of the true class (ties go to the lower
/// class), and the mean -log of the true class's probability in nats. Probabilities are clipped to
/// [2^-52, 1 - 2^-52], then scaled to add up to 1 (scikit-learn 1.2 on float64).
///
/// Several labels: the ratio of rows whose set of labels is exactly right at a threshold of 0.5
/// (scikit-learn's accuracy_score), and the mean over rows and classes of the binary log loss, probabilities
/// clipped to [2^-52, 1 - 2^-52].
struct Fit {
  double accuracy = 0;
  double log_loss = 0;

  Fit& operator+=(const Fit& other) {
    accuracy += other.accuracy;
    log_loss += other.log_loss;
    return *this;
  }
  /// Of a sum over n rows.
  Fit mean(std::size_t n) const {
    return {accuracy / static_cast<double>(n), log_loss / static_cast<double>(n)};
  }
};

/// The fit of one row, of one label or of several. `scores` has a probability for every class of the problem,
/// 0 for one that was not learnt; `labels` are positions in it, at least one unless `several`.
Fit fit_of(std::span<const float> scores, std::span<const std::int32_t> labels, bool several);

}  // namespace graft::metrics
