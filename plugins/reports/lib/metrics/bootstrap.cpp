#include <metrics/bootstrap.h>

#include <algorithm>
#include <vector>

#include <graft/random.h>

namespace graft::metrics {
namespace {

constexpr std::size_t kResampleBlock = 64;  // resamples that one call makes

}  // namespace

double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Interval paired_difference(std::span<const double> a, std::span<const double> b, double confidence,
                           std::size_t resamples, std::uint64_t seed, Parallel& parallel) {
  const std::size_t n = a.size();
  std::vector<double> difference(n);
  Interval out;
  for (std::size_t i = 0; i < n; ++i) out.mean += difference[i] = a[i] - b[i];
  out.mean /= static_cast<double>(n);
  std::vector<double> means(resamples);
  parallel.for_each((resamples + kResampleBlock - 1) / kResampleBlock, [&](std::size_t block) {
    for (std::size_t r = block * kResampleBlock; r < std::min(resamples, (block + 1) * kResampleBlock); ++r) {
      Random random(seed, "bootstrap", static_cast<std::uint32_t>(r));
      double sum = 0;
      for (std::size_t i = 0; i < n; ++i) sum += difference[random.below(n)];
      means[r] = sum / static_cast<double>(n);
    }
  });
  std::sort(means.begin(), means.end());
  out.low = quantile(means, (1 - confidence) / 2);
  out.high = quantile(means, (1 + confidence) / 2);
  return out;
}

}  // namespace graft::metrics
