#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <graft/params.h>
#include <graft/predictor.h>

#include <learning/features.h>
#include <learning/warnings.h>

/// \file
/// What learners of models on feature vectors have in common.
namespace graft::learning {

/// `cache`, in MiB. `doc` says what is held in memory up to this size, and what becomes of more.
ParamSpec cache_parameter(std::string doc);
std::size_t cache_bytes(const Params& params);

/// A config of this name, for an example: `stages` come after `images`, `features` and the `table` of them.
std::string config_on_features(std::string_view name, std::string_view stages);

/// The mean of 1 - cosine over all pairs of rows, each with itself among them: 0 where all have one
/// direction, at most 1. In double. `rows`: row-major count x dim, of any length; rows of zeros are left out,
/// and without two others it is 1.
double mean_cosine_distance(std::span<const float> rows, std::size_t dim);

/// Below this mean of 1 - cosine, rounding the rows to float32 leaves fewer than two certain digits of it.
///
/// Rows are scaled to length 1 and rounded to float32, each element by at most 2^-24 of itself. So the cosine
/// of two rows is off by at most 2^-23 = 1.2e-7, in whatever precision it is added up; two digits take 100
/// times that. A large part that all rows share (features with an offset a and deviations s have 1 - cosine
/// near (s / a)^2) brings them there. With an offset in every feature, errors cancel in part: exact search
/// then finds 99 % of the ten nearest rows at this bound, 97 % at a tenth, 80 % at a hundredth and 15 % at a
/// thousandth of it, for 128 to 2,048 features; where candidates come from float32 products (approximate
/// indexes), fewer. Euclidean distances and linear models keep what is lost here: the elements of the rows
/// still differ by the root of it.
constexpr double kLeastCosineDistance = 100 * 0x1p-23;

/// Warns where the mean of 1 - cosine of train rows is below kLeastCosineDistance. Looks at 1,000 of `count`
/// rows at most, evenly spaced: `rows_at` gives those at some positions as they are compared, row-major
/// positions x dim.
void warn_lost_cosines(
    std::size_t count, std::size_t dim,
    const std::function<std::vector<float>(const std::vector<std::size_t>& positions)>& rows_at,
    const std::string& table, const std::string& cure, const Warn& warn);

/// The scaler that these rows ask for; they are scaled with it.
RowScaler fit_scaler(RowScaler::Kind kind, FeatureRows& rows, Parallel& parallel);

/// Scores of a whole table, block by block on all threads. `score` gets scaled rows, row-major count x dim,
/// and writes count x classes scores. Throws Error naming a row whose scores are NaN.
Scores score_table(const RowSet& table, std::size_t classes, const RowScaler& scaler, Parallel& parallel,
                   const std::function<void(const float* rows, std::size_t count, float* out)>& score);

}  // namespace graft::learning
