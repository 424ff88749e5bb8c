#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <graft/predictor.h>

namespace graft::learning {

Tensor tensor_of(std::span<const float> values, Shape shape);
Tensor tensor_of(std::span<const std::int32_t> values, Shape shape);  // as i64

/// A fact of a bundle. Throws Error naming what is missing.
const Value& fact(const Bundle& bundle, std::string_view name);
/// A whole number of a bundle, from `low` to `high`. Throws Error naming it otherwise.
std::size_t count_fact(const Bundle& bundle, std::string_view name, std::size_t low,
                       std::size_t high = std::numeric_limits<std::int32_t>::max());
/// How many classes a bundle scores: no tensor need be as long, so that the number alone must not take memory
/// beyond measure.
std::size_t class_count(const Bundle& bundle, std::size_t low = 1);
/// Finite elements of a float32 tensor of the given shape. Throws Error naming what is missing or mis-shaped.
std::vector<float> floats(const Bundle& bundle, const std::string& name, const Shape& shape);
/// A large float32 tensor [rows, dim]. Throws Error naming what is missing or mis-shaped; reading throws when
/// values are not finite.
std::shared_ptr<const TensorReader> large_floats(const Bundle& bundle, const std::string& name,
                                                 std::size_t rows, std::size_t dim);
/// Elements of a vector of class indices (i64), each in [0, classes).
std::vector<std::int32_t> class_indices(const Bundle& bundle, const std::string& name, std::size_t size,
                                        std::size_t classes);
/// Elements of a vector of whole numbers (i64), each in [0, limit); `what` names one of them in messages.
std::vector<std::int32_t> indices(const Bundle& bundle, const std::string& name, std::size_t size,
                                  std::size_t limit, const char* what);

/// Throws Error unless the tables fit a predictor of `dim` features; returns the only table.
const RowSet& only_table(const std::vector<const RowSet*>& tables, std::size_t dim);

}  // namespace graft::learning
