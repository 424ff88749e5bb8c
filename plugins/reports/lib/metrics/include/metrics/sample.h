#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <graft/predictor.h>

#include <metrics/labelled.h>
#include <metrics/score.h>

namespace graft::metrics {

/// Scores of labelled rows, and what metrics share of them. Const methods may be called from any thread.
class ScoredRows {
 public:
  /// `labels` has the classes of every row, in [0, scores.classes): exactly one in the mode Single. At least
  /// one row; scores are class probabilities.
  ScoredRows(Scores scores, std::vector<std::vector<std::int32_t>> labels, LabelMode mode);
  /// Scores that are no probabilities are allowed here.
  ScoredRows(Labelled rows, LabelMode mode);

  std::size_t rows() const { return scores_.rows; }
  std::size_t classes() const { return scores_.classes; }
  LabelMode mode() const { return mode_; }
  /// Labelled::improper and Labelled::has_order.
  const std::string& improper() const { return improper_; }
  bool has_order() const { return has_order_; }
  /// Whether rows are taken for classes: for that of the highest score in the mode Single, for those of
  /// probability 0.5 and more in the mode Multi.
  bool has_decisions() const { return mode_ == LabelMode::Single ? has_order_ : improper_.empty(); }
  std::span<const float> scores(std::size_t row) const { return {scores_.row(row), scores_.classes}; }
  const std::vector<std::int32_t>& labels(std::size_t row) const { return labels_[row]; }
  bool has_label(std::size_t row, std::size_t c) const;
  /// Mode Single: the class of a row, and the one with the highest score; ties go to the lower class.
  std::uint32_t truth(std::size_t row) const { return static_cast<std::uint32_t>(labels_[row][0]); }
  std::uint32_t predicted(std::size_t row) const { return predicted_[row]; }
  /// Of one row: accuracy is 0 or 1.
  const Score& score(std::size_t row) const { return score_[row]; }
  /// Rows by falling score of a class.
  std::vector<std::uint32_t> ranking(std::size_t c) const;
  /// Sorts the rows by every class now, and keeps rows x classes numbers: for many samples of the rows.
  void keep_rankings();

 private:
  Scores scores_;
  std::vector<std::vector<std::int32_t>> labels_;
  LabelMode mode_;
  std::string improper_;
  bool has_order_ = true;
  std::vector<std::uint32_t> predicted_;
  std::vector<Score> score_;
  std::vector<std::vector<std::uint32_t>> rankings_;  // by class, or none
};

/// Rows of one class against the rest. Decided by the highest score in the mode Single, else at 0.5.
struct ClassCounts {
  std::uint64_t support = 0;    ///< Rows of this class.
  std::uint64_t predicted = 0;  ///< Rows that were taken for it.
  std::uint64_t hits = 0;       ///< Both.

  /// A ratio without a denominator is 0, as in scikit-learn.
  double precision() const;
  double recall() const;
  double f1() const;
};

/// Areas under curves of one class against the rest, by its scores.
struct ClassRanking {
  bool has_both = false;  ///< There are rows of the class and others: else no area under the ROC curve.
  double roc_auc = 0;     ///< The probability that a row of the class has the higher score; half of ties.
  /// Area under the precision-recall steps, sum (R_n - R_(n-1)) P_n over falling scores, equal scores taken
  /// together (scikit-learn's average_precision_score). 0 for a class without rows.
  double average_precision = 0;
};

/// What a metric is computed on: rows, each so many times. Every row once, or a resample. One thread.
class Sample {
 public:
  /// `rows` must outlive it.
  explicit Sample(const ScoredRows& rows) : Sample(rows, std::vector<std::uint32_t>(rows.rows(), 1)) {}
  Sample(const ScoredRows& rows, std::vector<std::uint32_t> times);

  const ScoredRows& rows() const { return rows_; }
  std::uint32_t times(std::size_t row) const { return times_[row]; }
  /// Rows, counted as often as they are in it.
  std::uint64_t n() const { return n_; }
  const std::vector<ClassCounts>& per_class() const { return per_class_; }
  /// Computed at the first call: by far the most expensive part.
  const std::vector<ClassRanking>& per_class_ranking() const;

 private:
  ClassRanking rank(std::size_t c) const;

  const ScoredRows& rows_;
  std::vector<std::uint32_t> times_;
  std::uint64_t n_ = 0;
  std::vector<ClassCounts> per_class_;
  mutable std::vector<ClassRanking> ranking_;
};

}  // namespace graft::metrics
