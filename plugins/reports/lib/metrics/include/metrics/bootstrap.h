#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <graft/predictor.h>

namespace graft::metrics {

/// Between the two nearest order statistics, linearly, as numpy.quantile has it. At least one value.
double quantile(const std::vector<double>& sorted, double q);

struct Interval {
  double mean = 0, low = 0, high = 0;
};

/// Mean of paired differences a - b, and its percentile bootstrap interval (Efron 1979): items are drawn with
/// replacement `resamples` times, each time with both of their values. `confidence`: 0.95 for 95 %. Same bits
/// for any number of threads. a and b have one value per item; at least one.
Interval paired_difference(std::span<const double> a, std::span<const double> b, double confidence,
                           std::size_t resamples, std::uint64_t seed, Parallel& parallel);

}  // namespace graft::metrics
