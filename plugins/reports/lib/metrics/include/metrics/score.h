#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace graft::metrics {

/// How many labels a row may have. Single: one. Multi: any number, none as well (RowSet::negative).
enum class LabelMode { Single, Multi };
inline LabelMode label_mode(bool multi_label) {
  return multi_label ? LabelMode::Multi : LabelMode::Single;
}

/// From this score on, one of several labels counts as predicted.
inline constexpr float kDecision = 0.5F;

/// Accuracy and log loss, as `evaluate` reports them and learners choose by them:
///
/// One label per row: the ratio of rows whose highest score is that of the true class (ties go to the lower
/// class), and the mean -log of the true class's probability in nats. Probabilities are clipped to
/// [2^-52, 1 - 2^-52], then scaled to add up to 1 (scikit-learn 1.2 on float64).
///
/// Several labels: the ratio of rows whose set of labels is exactly right at a threshold of 0.5
/// (scikit-learn's accuracy_score), and the mean over rows and classes of the binary log loss, probabilities
/// clipped to [2^-52, 1 - 2^-52].
struct Score {
  double accuracy = 0;
  double log_loss = 0;
};

/// Adds up the scores of rows. Sums are the same bits for the same order: add rows block by block, then the
/// blocks in order.
class ScoreSum {
 public:
  /// One row. `scores` has a probability for every class of the problem, 0 for a class that was not learnt;
  /// `labels` are positions in it, exactly one in the mode Single.
  void add(std::span<const float> scores, std::span<const std::int32_t> labels, LabelMode mode);
  ScoreSum& operator+=(const ScoreSum& other);

  std::size_t rows() const { return rows_; }
  /// Over the rows, at least one.
  Score mean() const;

 private:
  double accuracy_ = 0, log_loss_ = 0;
  std::size_t rows_ = 0;
};

/// What makes a score the better one. Accuracy: the higher accuracy, then the lower log loss. LogLoss: the
/// lower log loss alone.
enum class Criterion { Accuracy, LogLoss };
/// By which learners choose: accuracy is coarse where a whole set of labels must be right.
inline Criterion criterion_for(LabelMode mode) {
  return mode == LabelMode::Multi ? Criterion::LogLoss : Criterion::Accuracy;
}

/// Whether `a` is strictly better than `b`, by more than `margin` where it is above 0: of equal scores the
/// first one stays.
bool better(const Score& a, const Score& b, Criterion by, double margin = 0);

}  // namespace graft::metrics
