#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <graft/predictor.h>

namespace graft::metrics {

/// Between the two nearest order statistics, linearly, as numpy.quantile has it. At least one value.
double quantile(const std::vector<double>& sorted, double q);

struct Interval {
  double mean = 0, low = 0, high = 0;
};

/// Items of a paired difference that are still drawn.
inline constexpr std::size_t kMostDrawn = 20'000;

/// Mean of paired differences a - b, and its percentile bootstrap interval (Efron 1979): items are drawn with
/// replacement `resamples` times, each time with both of their values. `confidence`: 0.95 for 95 %. Same bits
/// for any number of threads. a and b have one value per item; at least one. Of more than kMostDrawn items
/// it is the normal distribution that the bootstrap tends to.
Interval paired_difference(std::span<const double> a, std::span<const double> b, double confidence,
                           std::size_t resamples, std::uint64_t seed, Parallel& parallel);

/// Whether each item is right, 1 or 0, by the name of the item.
struct Decisions {
  const std::vector<std::string>& keys;
  const std::vector<double>& correct;
};

/// Resamples of a paired difference that nobody has chosen a number for.
inline constexpr std::size_t kPairedResamples = 2000;

struct PairedDifference {
  std::size_t n = 0;  ///< Items that both have.
  Interval accuracy;  ///< Of a less that of b.
};
/// Of the items that both have, in the order of a; nothing where there are none.
std::optional<PairedDifference> paired_difference(const Decisions& a, const Decisions& b, double confidence,
                                                  std::size_t resamples, std::uint64_t seed,
                                                  Parallel& parallel);

}  // namespace graft::metrics
