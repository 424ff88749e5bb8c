#pragma once

#include <cstdint>
#include <vector>

#include <graft/predictor.h>

namespace graft {

/// Divides logits by a temperature (Guo et al. 2017, "On calibration of modern neural networks"). Scores are
/// probabilities; their logits are log p, or log(p / (1 - p)) of multi-label scores, with p clipped to
/// [2^-52, 1 - 2^-52] as the log loss has it. Above 1 scores become less sure, below 1 surer; the order of
/// the classes stays, and so do the predicted class and the accuracy.
struct TemperatureScaling {
  double temperature = 1;
  bool multi_label = false;

  void apply(Scores& scores) const;
};

/// Clipped logits are 36 apart at most: at the highest temperature all classes are within 4 % of each other.
constexpr double kLowestTemperature = 0.05, kHighestTemperature = 1000;

/// The temperature in [kLowestTemperature, kHighestTemperature] of least log loss: it is convex in 1 / T, and
/// Newton's steps on its derivative are kept inside of a bracket. `labels` has the classes of every row, one
/// each but for multi-label scores. At least one row. Sums run row by row: one thread, same bits everywhere.
double fit_temperature(const Scores& scores, const std::vector<std::vector<std::int32_t>>& labels,
                       bool multi_label);

}  // namespace graft
