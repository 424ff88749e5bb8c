#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <graft/predictor.h>

#include <dense/loss.h>
#include <dense/network.h>
#include <learning/features.h>

namespace graft {

/// A trained network with what its features and its outputs mean.
struct MlpModel {
  dense::Network network;
  dense::Loss::Kind loss = dense::Loss::Kind::Softmax;
  std::size_t classes = 0;           ///< Columns of the scores.
  std::vector<std::int32_t> fitted;  ///< Class of each output, ascending. The others have the score 0.
  learning::RowScaler scaler;
};

/// Over one table.
class MlpPredictor final : public Predictor {
 public:
  explicit MlpPredictor(MlpModel model) : model_(std::move(model)) {}
  /// Throws Error naming what is missing or mis-shaped.
  static std::unique_ptr<MlpPredictor> load(const Bundle& bundle);

  Scores predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const override;
  void save(Bundle& bundle) const override;

 private:
  MlpModel model_;
};

}  // namespace graft
