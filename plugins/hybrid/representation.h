#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include <graft/predictor.h>

#include "embedding/embedding.h"

namespace graft {

/// One layer of rectified linear units, ReLU(W x + b), taken out of a network that was trained on the labels.
struct HiddenLayer {
  std::size_t inputs = 0, units = 0;
  std::vector<float> weight;  ///< Row-major units x inputs.
  std::vector<float> bias;    ///< units

  /// `in` is row-major count x inputs, `out` count x units.
  void apply(std::size_t count, const float* in, float* out) const;
};

/// What feature vectors become before rows are compared: the leading directions of the features, scaled to
/// unit length ("L2NC", Wang et al. 2019), then a hidden layer where there is one, and unit length again. A
/// row that has nothing in these directions becomes zeros. Immutable; any thread.
class Representation {
 public:
  Representation(Embedding directions, std::optional<HiddenLayer> hidden);

  std::size_t inputs() const { return directions_.inputs(); }
  std::size_t dims() const { return hidden_ ? hidden_->units : directions_.dims(); }
  /// `in` is row-major count x inputs(), `out` count x dims().
  void apply(std::size_t count, const float* in, float* out) const;

  void save(Bundle& bundle) const;
  static Representation load(const Bundle& bundle);

 private:
  Embedding directions_;
  std::optional<HiddenLayer> hidden_;
};

/// The first stage alone, as it goes into the hidden layer: directions of unit length times sqrt(dims), so
/// that an element has variance of about 1. Row-major rows x directions.dims().
std::vector<float> hidden_inputs(const linalg::FeatureRows& rows, const Embedding& directions,
                                 Parallel& parallel);

}  // namespace graft
