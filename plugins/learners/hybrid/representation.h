#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include <graft/predictor.h>

#include <dense/network.h>
#include <embedding/embedding.h>

namespace graft {

/// What feature vectors become before rows are compared: the leading directions of the features, scaled to
/// unit length ("L2NC", Wang et al. 2019), then a hidden layer where there is one, and unit length again. A
/// row that has nothing in these directions becomes zeros. Immutable; any thread.
class Representation {
 public:
  /// `hidden`: a network with one hidden layer that was trained on the labels.
  Representation(embedding::Embedding directions, std::optional<dense::Network> hidden);

  std::size_t inputs() const { return directions_.inputs(); }
  std::size_t dims() const { return hidden_ ? hidden_->hidden_width() : directions_.dims(); }
  /// `in` is row-major count x inputs(), `out` count x dims().
  void apply(std::size_t count, const float* in, float* out) const;

  void save(Bundle& bundle) const;
  static Representation load(const Bundle& bundle);

 private:
  embedding::Embedding directions_;
  std::optional<dense::Network> hidden_;
};

/// The first stage alone, as it goes into the hidden layer: directions of unit length times sqrt(dims), so
/// that an element has variance of about 1. Row-major rows x directions.dims().
std::vector<float> hidden_inputs(const learning::FeatureRows& rows, const embedding::Embedding& directions,
                                 Parallel& parallel);

}  // namespace graft
