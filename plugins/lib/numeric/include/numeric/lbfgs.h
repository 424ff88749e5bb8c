#pragma once

#include <functional>
#include <span>

namespace graft::numeric {

/// Value of the objective at x; writes the gradient. Both have as many elements as x.
using Objective = std::function<double(std::span<const double> x, std::span<double> gradient)>;
/// v <- P v with a fixed symmetric positive definite P that resembles the inverse Hessian.
using Preconditioner = std::function<void(std::span<double> v)>;

struct LbfgsOptions {
  int history = 10;  ///< Pairs of steps and gradient changes that are kept.
  int max_iterations = 1000;
  /// Converged when the largest absolute element of the gradient is at most this ...
  double gradient_tolerance = 1e-8;
  /// ... or when the objective is within this fraction of its minimum for certain: gap(g) <= gap_tolerance
  /// |f|; 0: not used.
  double gap_tolerance = 0;
  /// Bound of what is left to gain, from the gradient at the last point of evaluation. None: |g|^2 / 2, which
  /// holds for objectives that curve at least as much as |x|^2 / 2, as a penalty on all of x makes them.
  std::function<double(std::span<const double> gradient)> gap = {};
  /// Relative rounding error of the objective. Changes below it say nothing; the search then goes by the
  /// gradient alone, and stops when nothing is left to gain.
  double noise = 1e-14;
};

enum class LbfgsStop {
  Converged,  ///< A tolerance is met.
  Precision,  ///< The objective no longer changes by more than its rounding error.
  MaxIterations,
};

const char* to_string(LbfgsStop stop);  // "converged", "precision", "max iterations"

struct LbfgsResult {
  double objective = 0;
  double gradient_max = 0;
  double gap = 0;  ///< Bound of what is left to gain where it ended.
  int iterations = 0;
  int evaluations = 0;
  LbfgsStop stop = LbfgsStop::Converged;
};

/// Minimises a smooth function from x, in place, by limited-memory BFGS (Nocedal & Wright 2006,
/// algorithm 7.5) with a strong Wolfe line search (c1 1e-4, c2 0.9; cubic interpolation within a bracket)
/// that also takes the approximate Wolfe conditions of Hager & Zhang 2005 where rounding hides the decrease.
/// Throws Error when the objective is not finite at the start; steps into non-finite values are shortened.
LbfgsResult minimize(const Objective& objective, std::span<double> x, const LbfgsOptions& options,
                     const Preconditioner& preconditioner = {});

}  // namespace graft::numeric
