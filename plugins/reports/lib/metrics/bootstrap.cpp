#include <metrics/bootstrap.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <graft/random.h>

namespace graft::metrics {
namespace {

constexpr std::size_t kResampleBlock = 64;  // resamples that one call makes

/// The point below which a standard normal variable lies with probability p, by bisection of erfc.
double normal_quantile(double p) {
  double low = -10, high = 10;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(-middle / std::sqrt(2.0)) / 2 < p ? low : high) = middle;
  }
  return (low + high) / 2;
}

/// What the bootstrap of the mean tends to for many items.
Interval normal_interval(const std::vector<double>& values, double mean, double confidence) {
  const auto n = static_cast<double>(values.size());
  double square = 0;
  for (const double v : values) square += (v - mean) * (v - mean);
  const double half = normal_quantile((1 + confidence) / 2) * std::sqrt(square / n / n);
  return {mean, mean - half, mean + half};
}

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
  if (n > kMostDrawn) return normal_interval(difference, out.mean, confidence);
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

std::optional<PairedDifference> paired_difference(const Decisions& a, const Decisions& b, double confidence,
                                                  std::size_t resamples, std::uint64_t seed,
                                                  Parallel& parallel) {
  std::unordered_map<std::string_view, double> known;
  known.reserve(b.keys.size());
  for (std::size_t i = 0; i < b.keys.size(); ++i) known.emplace(b.keys[i], b.correct[i]);
  std::vector<double> of_a, of_b;
  for (std::size_t i = 0; i < a.keys.size(); ++i)
    if (const auto at = known.find(a.keys[i]); at != known.end()) {
      of_a.push_back(a.correct[i]);
      of_b.push_back(at->second);
    }
  if (of_a.empty()) return {};
  return PairedDifference{of_a.size(), paired_difference(of_a, of_b, confidence, resamples, seed, parallel)};
}

}  // namespace graft::metrics
