#pragma once

#include <span>
#include <vector>

namespace graft::dense {

/// What a network minimises, on rows of logits z and targets t. A target is the fraction of a class: one 1
/// and zeros elsewhere for a row with one label, several ones for several, anything between for mixed rows.
/// With label smoothing e and class weights w:
///
///     Softmax: t' = (1 - e) t + e / K;  -sum_c w_c t'_c log softmax(z)_c
///     Sigmoid: t' = (1 - e) t + e / 2;  -sum_c w_c t'_c log s(z_c) + v_c (1 - t'_c) log(1 - s(z_c))
///
/// The first is torch.nn.CrossEntropyLoss, the second (v = 1) BCEWithLogitsLoss(pos_weight = w) summed over
/// classes, so that without weights the derivative by a logit is p - t' for both. A batch's loss is the sum
/// over its rows divided by the sum of `weight`: as in PyTorch a weighted mean for Softmax, a mean for
/// Sigmoid.
struct Loss {
  enum class Kind { Softmax, Sigmoid };
  Kind kind = Kind::Softmax;
  double label_smoothing = 0;             ///< e, in [0, 1).
  std::vector<float> class_weights = {};  ///< w, at least 0, one for each output; empty: all are 1.
  std::vector<float> rest_weights = {};   ///< v, the same; of Sigmoid.

  /// What a row counts in the mean.
  double weight(std::span<const float> targets) const;
  /// The loss of a row, not divided; replaces the logits by its derivatives by them.
  double differentiate(std::span<float> logits, std::span<const float> targets) const;
};

/// Replaces logits by probabilities: of one class among all for Softmax, class by class for Sigmoid.
void to_probabilities(Loss::Kind kind, std::span<float> logits);

}  // namespace graft::dense
