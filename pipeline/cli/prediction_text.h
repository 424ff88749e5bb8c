#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <graft/value.h>

#include "store/row.h"

/// \file
/// What scores say, the same for every way to ask for them.
namespace graft::cli {

/// What is predicted, by the position of the class. With several labels, the classes whose score reaches the
/// threshold (default: 0.5); else the best one, where it does (default: 0). None of them for no scores.
std::vector<std::size_t> predicted_classes(std::span<const float> scores, bool multi_label,
                                           std::optional<double> threshold);

/// The `count` best classes, ties by their order.
std::vector<std::size_t> best_classes(std::span<const float> scores, std::size_t count);

/// How many of the scores are shown, and what is predicted.
struct PredictionView {
  const std::vector<std::string>& classes;
  bool multi_label = false;
  std::size_t top = 0;  ///< 0: all.
  std::optional<double> threshold = {};
};

/// {"key", "predicted": [...], "scores": {class: score, ...}}, the best first; or {"key", "rejected":
/// {"stage", "code", "reason"}} where `reject` is not null.
Value prediction_value(std::string_view key, std::span<const float> scores, const StoredReject* reject,
                       const PredictionView& view);

}  // namespace graft::cli
