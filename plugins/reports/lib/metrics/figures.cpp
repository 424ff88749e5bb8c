#include <metrics/figures.h>

#include <algorithm>
#include <cmath>

#include <graft/random.h>

#include <metrics/bootstrap.h>

namespace graft::metrics {
namespace {

// What one resample may cost, so that all of them take some seconds at most.
constexpr std::size_t kResampledRows = 200'000, kResampledCells = 500'000, kResampledRankings = 100'000;
constexpr std::size_t kRowsPerClass = 20;  // what the ratios of a class cost, in rows
/// Resamples in which a metric has no value, for example because a class is not among them, are left out;
/// with more than this fraction of them, the others say little.
constexpr double kUndefinedResamples = 0.1;

bool is_resampled(const Metric& metric, const ScoredRows& rows) {
  const std::size_t cells = rows.rows() * rows.classes();
  const bool cells_matter = rows.mode() == LabelMode::Multi || metric.cost == Metric::Cost::Cells;
  if (rows.rows() + kRowsPerClass * rows.classes() > kResampledRows ||
      (cells_matter && cells > kResampledCells))
    return false;
  return metric.cost != Metric::Cost::Ranking || cells <= kResampledRankings;
}

/// Every row drawn with replacement, as often as there are rows.
std::vector<std::uint32_t> draw(std::size_t rows, std::uint64_t seed, std::size_t resample) {
  Random random(seed, "figures", static_cast<std::uint32_t>(resample));
  std::vector<std::uint32_t> times(rows);
  for (std::size_t i = 0; i < rows; ++i) ++times[random.below(rows)];
  return times;
}

}  // namespace

std::pair<double, double> wilson_interval(double fraction, std::size_t n) {
  constexpr double kZ = 1.959963984540054;  // 97.5 % point of the normal distribution
  const auto count = static_cast<double>(n);
  const double z2 = kZ * kZ / count;
  const double centre = (fraction + z2 / 2) / (1 + z2);
  const double half = kZ / (1 + z2) * std::sqrt(fraction * (1 - fraction) / count + z2 / (4 * count));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

std::vector<Figure> figures_of(const std::string& learner, Split split, ScoredRows& rows,
                               const FigureOptions& options, Parallel& parallel) {
  const Sample sample(rows);
  std::vector<Figure> figures;
  std::vector<Measured (*)(const Sample&)> resampled;
  std::vector<std::size_t> positions;
  bool ranks = false;
  for (const Metric& metric : all_metrics()) {
    const auto of = metric.of(rows.mode());
    if (of == nullptr) continue;
    Measured measured = measure(metric, sample);
    Figure figure{learner, split, metric.spec.name, rows.rows(), measured.value, std::move(measured.why), {}};
    // With one label per row, the micro averages are the accuracy under other names.
    const bool counts_rows = metric.spec.name == "accuracy" ||
                             (rows.mode() == LabelMode::Single && metric.spec.name.starts_with("micro_"));
    if (counts_rows && figure.value) {
      figure.interval = wilson_interval(*figure.value, rows.rows());
    } else if (figure.value && options.resamples > 0 && is_resampled(metric, rows)) {
      resampled.push_back(of);
      positions.push_back(figures.size());
      ranks = ranks || metric.cost == Metric::Cost::Ranking;
    }
    figures.push_back(std::move(figure));
  }
  if (resampled.empty()) return figures;
  if (ranks) rows.keep_rankings();

  std::vector<std::vector<double>> values(resampled.size(), std::vector<double>(options.resamples));
  constexpr std::size_t kBlock = 16;
  parallel.for_each((options.resamples + kBlock - 1) / kBlock, [&](std::size_t block) {
    for (std::size_t i = block * kBlock; i < std::min(options.resamples, (block + 1) * kBlock); ++i) {
      const Sample drawn(rows, draw(rows.rows(), options.seed, i));
      for (std::size_t m = 0; m < resampled.size(); ++m)
        values[m][i] = resampled[m](drawn).value.value_or(std::nan(""));
    }
  });
  for (std::size_t m = 0; m < resampled.size(); ++m) {
    std::erase_if(values[m], [](double v) { return std::isnan(v); });
    const auto undefined = static_cast<double>(options.resamples - values[m].size());
    if (undefined > kUndefinedResamples * static_cast<double>(options.resamples)) continue;
    std::sort(values[m].begin(), values[m].end());
    figures[positions[m]].interval = {quantile(values[m], 0.025), quantile(values[m], 0.975)};
  }
  return figures;
}

}  // namespace graft::metrics
