#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <graft/predictor.h>

#include <learning/features.h>

/// \file
/// What learners warn about and refuse, with the same words.
namespace graft::learning {

using Warn = std::function<void(const std::string&)>;

/// Classes that the rows have, ascending.
std::vector<std::int32_t> classes_present(const FeatureRows& rows);

/// Warns of the classes that no label of the train rows is of, and where there is only one class at all.
/// `effect`: what that means for such a class.
void warn_absent_classes(const std::vector<std::int32_t>& labels, const std::vector<std::string>& classes,
                         const Warn& warn, const char* effect = "the score of such a class is 0");

/// The same for the val rows that `parameter` is chosen on.
void warn_absent_val_classes(const std::vector<std::int32_t>& labels, const std::vector<std::string>& classes,
                             const char* parameter, const Warn& warn);

/// Throws Error unless there are labelled train rows.
void require_rows(const std::string& table, std::size_t rows);

/// Throws Error unless train rows are of enough of the `classes`: of two, or of one where rows may have
/// several labels.
void require_classes(const std::string& table, std::size_t present, std::size_t classes,
                     metrics::LabelMode mode);

/// The classes that the train rows have, with a warning about the others. Throws Error as require_classes.
std::vector<std::int32_t> classes_to_learn(const FeatureRows& train, const std::vector<std::string>& classes,
                                           const std::string& table, const Warn& warn);

/// Warns where all features are the same in all train rows, and of rows of zeros that have no length 1.
/// Reads all rows once; before they are scaled. Returns the number of features that are the same in all rows.
std::size_t warn_constant_features(const FeatureRows& train, const std::string& table, RowScaler::Kind scale,
                                   Parallel& parallel, const Warn& warn);

/// "table 't' has no labelled val rows to PURPOSE: EFFECT; give the source a val split, FIX".
void warn_no_val_rows(const std::string& table, const std::string& purpose, const std::string& effect,
                      const std::string& fix, const Warn& warn);

/// A value of a list of `candidates` that is taken without val: the one that is nearest to `usual`.
struct TakenValue {
  const char* parameter;
  std::size_t candidates;
  double value, usual;
};
/// The same for the values that are taken of several; no warning where there was one of each.
void warn_no_val_rows(const std::string& table, const std::vector<TakenValue>& taken, const Warn& warn);

}  // namespace graft::learning
