#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <graft/predictor.h>

#include "linalg/features.h"

/// \file
/// What learners of models on feature vectors have in common.
namespace graft::linalg {

using Warn = std::function<void(const std::string&)>;

/// Classes that the rows show, ascending.
std::vector<std::int32_t> shown_classes(const FeatureRows& rows);

/// The shown classes of the train rows, with a warning about the others. Throws Error where there is nothing
/// to tell apart: fewer than two of them, or none where rows may have several.
std::vector<std::int32_t> classes_to_learn(const FeatureRows& train, const std::vector<std::string>& classes,
                                           const std::string& table, Labels several, const Warn& warn);

/// The scaler that these rows ask for; they are scaled with it.
RowScaler fit_scaler(RowScaler::Kind kind, FeatureRows& rows, Parallel& parallel);

/// Scores of a whole table, block by block on all threads. `score` gets scaled rows, row-major count x dim,
/// and writes count x classes scores. Throws Error naming a row whose scores are NaN.
Scores score_table(const RowSet& table, std::size_t classes, const RowScaler& scaler, Parallel& parallel,
                   const std::function<void(const float* rows, std::size_t count, float* out)>& score);

}  // namespace graft::linalg
