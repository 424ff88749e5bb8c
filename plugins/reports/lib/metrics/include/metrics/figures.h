#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <graft/figure.h>
#include <graft/predictor.h>

#include <metrics/metrics.h>

namespace graft::metrics {

/// Of fewer, the 2.5 and 97.5 % points are little more than the smallest and the largest.
inline constexpr std::size_t kFewestResamples = 100;

struct FigureOptions {
  std::size_t resamples = 1000;  ///< Bootstrap samples; 0: no intervals but that of accuracy.
  std::uint64_t seed = 0;
};

/// Every metric of rows of this kind. The interval of accuracy, and of what equals it, is Wilson's; that of
/// the others is between the 2.5 and 97.5 % points of a bootstrap over rows (Efron 1979), where that takes at
/// most some seconds: not of the metrics that rank rows where rows x classes are more than 100,000, not of
/// any beyond 200,000 rows. The same bits for any number of threads. Keeps rankings in `rows` where it needs
/// them often.
std::vector<Figure> figures_of(const std::string& learner, Split split, ScoredRows& rows,
                               const FigureOptions& options, Parallel& parallel);

/// Wilson score interval of a fraction of n trials at 95 % (Wilson 1927). n >= 1.
std::pair<double, double> wilson_interval(double fraction, std::size_t n);

}  // namespace graft::metrics
