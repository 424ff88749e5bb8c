#pragma once

#include <cmath>

#include <graft/random.h>

namespace graft::numeric {

/// Logarithm of a draw from Gamma(shape, 1), shape > 0 (Marsaglia and Tsang 2000, ACM TOMS 26(3)): for a
/// small shape the draw itself is often below the least double.
inline double sample_log_gamma(double shape, Random& random) {
  // Gamma(a) is Gamma(a + 1) U^(1/a); the rejection below wants a shape of at least 1.
  const double boost = shape < 1 ? std::log(1 - random.uniform()) / shape : 0;
  const double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = random.normal(), root = 1 + c * x, v = root * root * root;
    if (v > 0 && std::log(random.uniform()) < 0.5 * x * x + d * (1 - v + std::log(v)))
      return std::log(d * v) + boost;
  }
}

/// A draw from Beta(alpha, alpha), alpha > 0, as a ratio of two gamma variables.
inline double sample_beta(double alpha, Random& random) {
  const double mine = sample_log_gamma(alpha, random), theirs = sample_log_gamma(alpha, random);
  return 1 / (1 + std::exp(theirs - mine));
}

}  // namespace graft::numeric
