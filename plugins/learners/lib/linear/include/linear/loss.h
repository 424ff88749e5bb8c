#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <learning/features.h>

namespace graft::linear {

/// What scores are turned into.
enum class Loss {
  Softmax,      ///< Probabilities over the classes, which compete.
  OneVsRest,    ///< A yes or no for every class against all others; scaled to sum to 1.
  Independent,  ///< The same for rows with several labels: probabilities of their own, as they are.
};
/// Logits that so many fitted classes need: one distinguishes two classes.
inline std::size_t outputs_for(std::size_t fitted, Loss loss) {
  return fitted == 2 && loss != Loss::Independent ? 1 : fitted;
}
const std::vector<std::string>& loss_names();  // "softmax", "one_vs_rest", "independent"
/// Throws Error for any other name.
Loss loss_from(std::string_view name);

enum class ClassWeights {
  None,
  /// Both sides of every question weigh the same: rows / (classes x rows of the class) for the softmax, rows
  /// / (2 x rows with or without the class) for the others (scikit-learn's "balanced").
  Balanced,
};

/// The negative log-likelihood of rows' labels as a function of their logits, one logit per row for every
/// output:
///
///     Softmax                 sum_i v_i CE(softmax(z_i), y_i)
///     OneVsRest, Independent  sum_i sum_c v_ic BCE(sigmoid(z_ic), is i of class c)
///
/// With two classes Softmax and OneVsRest need one output, that of the second class against the first.
/// Immutable; any thread. `rows` must outlive this.
class ClassLoss {
 public:
  /// Throws Error unless there is something to tell apart: two classes; for Independent a class that some row
  /// has and another has not.
  ClassLoss(const learning::FeatureRows& rows, std::size_t classes, Loss loss, ClassWeights weights);

  /// Classes that have rows, ascending.
  const std::vector<std::int32_t>& fitted() const { return fitted_; }
  std::size_t outputs() const { return outputs_; }
  /// Biases that fit best where all weights are zero: the logarithms of the weighted shares of the classes,
  /// or of yes against no. The best for a class of all rows is infinite; it gets a large one.
  const std::vector<double>& share_biases() const { return share_biases_; }

  /// Replaces the logits of the rows from `first` on, row-major rows x outputs(), by the derivatives of the
  /// loss, and returns it. Adds to the curvature of every output the v p (1 - p) of the rows, the diagonal of
  /// the Hessian with respect to the logits. `scratch` is worked in.
  double derive(std::size_t first, std::span<float> logits, std::span<double> curvature,
                std::vector<float>& scratch) const;

 private:
  double derive_softmax(std::size_t first, std::span<float> logits, std::span<double> curvature) const;
  double derive_binary(std::size_t first, std::span<float> logits, std::span<double> curvature,
                       std::vector<float>& scratch) const;

  const learning::FeatureRows& rows_;
  Loss loss_;
  std::vector<std::int32_t> fitted_;
  std::size_t outputs_;
  std::vector<std::int32_t> output_;  ///< Of every class; -1 for none.
  std::vector<float> yes_;            ///< Weights of the rows of an output's class, ...
  std::vector<float> no_;             ///< ... and of the others (not with the softmax over three or more).
  std::vector<double> share_biases_;
};

}  // namespace graft::linear
