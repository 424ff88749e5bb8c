#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace graft::numeric {

/// Position of the largest value; the lowest one when several are equal. Not empty.
template <typename T>
std::size_t argmax(std::span<const T> values) {
  return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

/// Replaces logits by softmax(logits), without overflow for any finite input, and returns
/// log(sum(exp(logits))).
inline double softmax(std::span<float> logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  float sum = 0.0F;
  for (float& v : logits) sum += v = std::exp(v - top);
  const float scale = 1.0F / sum;
  for (float& v : logits) v *= scale;
  return static_cast<double>(top) + std::log(static_cast<double>(sum));
}

/// Replaces values up to 0 by their exponentials, within 2e-7 of each; below -87 by that of -87, 1.6e-38.
/// With the processor's widest vectors.
void exp_all(std::span<float> values);

/// 1 / (1 + exp(-x)), without overflow.
inline double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/// log(1 + exp(x)), without overflow.
inline double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

}  // namespace graft::numeric
