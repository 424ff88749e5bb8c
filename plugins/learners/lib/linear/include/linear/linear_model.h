#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <graft/predictor.h>

#include <learning/features.h>
#include <linear/loss.h>
#include <metrics/score.h>

namespace graft::linear {

/// Affine scores of scaled features, turned into class probabilities: softmax over the fitted classes; or the
/// logistic function of every score, divided by their sum unless the classes are independent; or the logistic
/// function of one score when two classes were fitted. Classes that were not fitted have probability 0.
struct LinearModel {
  std::size_t dim = 0;
  std::size_t classes = 0;           ///< Columns of the scores.
  std::vector<std::int32_t> fitted;  ///< Classes that had training rows, ascending; at least two, or one of
                                     ///< independent classes.
  std::vector<float> weight;         ///< Row-major outputs() x dim.
  std::vector<float> bias;           ///< outputs()
  learning::RowScaler scaler;
  Loss loss = Loss::Softmax;  ///< What it was fitted by.

  /// Two classes need one score, that of the second against the first: scikit-learn's form.
  std::size_t outputs() const { return outputs_for(fitted.size(), loss); }

  /// Probabilities, row-major count x classes, of rows that are scaled already.
  void scores(const float* rows, std::size_t count, float* out) const;
};

/// The scores of a model on rows, at least one.
metrics::Score measure(const LinearModel& model, const learning::FeatureRows& rows, Parallel& parallel);

/// A LinearModel as a predictor of one table.
class LinearPredictor final : public Predictor {
 public:
  LinearPredictor(LinearModel model, double c) : model_(std::move(model)), c_(c) {}
  static std::unique_ptr<LinearPredictor> load(const Bundle& bundle);

  Scores predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const override;
  void save(Bundle& bundle) const override;
  const LinearModel& model() const { return model_; }

 private:
  LinearModel model_;
  double c_;
};

}  // namespace graft::linear
