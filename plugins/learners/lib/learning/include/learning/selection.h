#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <vector>

#include <graft/learner.h>

#include <metrics/score.h>

/// \file
/// How learners choose: candidates are scored on val, the best one stays, and it is refit on train and val.
///
///     summary["path"]        one entry per candidate: its parameters, val_accuracy, val_log_loss
///     summary["chosen_on"]   "val", "given" (there was one candidate) or "nothing" (there was no val)
///     summary["train_rows"]  labelled rows; val_rows the same
///     summary["refit"]       what the fit on train and val gave; absent where the chosen model stands
namespace graft::learning {

/// Candidate values of a parameter: ascending, each once.
template <typename T>
std::vector<T> ascending(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

/// The value that is taken without val: the nearest to `usual` by ratio, the lower one of two. All above 0.
template <typename T>
T nearest_by_ratio(const std::vector<T>& values, double usual) {
  const auto distance = [usual](T value) { return std::abs(std::log(static_cast<double>(value) / usual)); };
  return *std::min_element(values.begin(), values.end(), [&](T a, T b) { return distance(a) < distance(b); });
}

/// Collects candidates with their scores on val, and remembers the best. Not thread-safe.
class CandidateSelection {
 public:
  explicit CandidateSelection(metrics::Criterion by) : by_(by) {}

  /// Adds a candidate to the path: `parameters`, a map, with its score. True when it is the best so far, so
  /// that what was fitted should be kept: the first one, or one that is strictly better. Without val there is
  /// no score, and the first one stays.
  bool add(Value parameters, const std::optional<metrics::Score>& val);

  std::size_t size() const { return path_.as_list().size(); }
  /// Position of the best in the order of add(), and its score on val.
  std::size_t best() const { return best_; }
  const metrics::Score& best_score() const { return best_score_; }
  const Value& path() const { return path_; }

 private:
  metrics::Criterion by_;
  Value path_ = Value::list();
  std::size_t best_ = 0;
  metrics::Score best_score_;
};

/// The words of `chosen_on`. `candidates`: how many there were to choose from.
const char* chosen_on(bool has_val, std::size_t candidates);

/// Adds `chosen_on`, `train_rows` and `val_rows` to a summary.
void describe_choice(const char* chosen_on, std::size_t train_rows, std::size_t val_rows, Value& summary);

/// The course of a fit. `choose(LearnerResult&)` fits candidates on train, leaves the best one as
/// `predictor`, describes it in `summary`, and returns what the refit needs, as an optional: nothing where
/// the model stands. It may leave the scores of val in `val`; otherwise the predictor gives them.
/// `refit(choice, summary)` returns the predictor that is fitted on train and val. The first predictor is
/// gone by then.
template <typename Choose, typename Refit>
LearnerResult choose_and_refit(const LearnerInput& input, Choose&& choose, Refit&& refit) {
  const RowSet& val = *input.tables.at(0).val;
  LearnerResult out;
  out.summary = Value::map();
  auto choice = choose(out);
  if (val.rows() == 0) return out;  // train and val together are train
  if (out.val.rows == 0) out.val = out.predictor->predict({&val}, input.parallel);
  if (!choice) return out;
  out.predictor.reset();
  out.predictor = refit(*choice, out.summary);
  return out;
}

}  // namespace graft::learning
