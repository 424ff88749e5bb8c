#include <metrics/metrics.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <metrics/score.h>

namespace graft::metrics {
namespace {

constexpr std::size_t kBins = 15;

double ratio(std::size_t part, std::size_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// Bin (i / 15, (i + 1) / 15] that holds a confidence; 0 belongs to the first.
std::size_t bin_of(double confidence) {
  const double position = std::ceil(confidence * kBins) - 1;
  return static_cast<std::size_t>(std::clamp(position, 0.0, static_cast<double>(kBins - 1)));
}

struct Bin {
  std::size_t rows = 0;
  std::size_t correct = 0;
  double confidence = 0;
};

using Pair = std::pair<std::uint32_t, std::uint32_t>;  // true class, predicted class

std::vector<ConfusionCell> cells_of(std::vector<Pair> pairs) {
  std::sort(pairs.begin(), pairs.end());
  std::vector<ConfusionCell> cells;
  for (const auto& [truth, predicted] : pairs) {
    if (cells.empty() || cells.back().truth != truth || cells.back().predicted != predicted)
      cells.push_back({truth, predicted, 0});
    ++cells.back().rows;
  }
  return cells;
}

void fill_class_metrics(Metrics& m, std::size_t classes) {
  m.per_class.resize(classes);
  std::vector<std::size_t> hits(classes);
  for (const ConfusionCell& cell : m.confusion) {
    m.per_class[cell.truth].support += cell.rows;
    m.per_class[cell.predicted].predicted += cell.rows;
    if (cell.truth == cell.predicted) hits[cell.truth] = cell.rows;
  }
  std::size_t present = 0, involved = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    ClassMetrics& k = m.per_class[c];
    k.precision = ratio(hits[c], k.predicted);
    k.recall = ratio(hits[c], k.support);
    k.f1 = ratio(2 * hits[c], k.predicted + k.support);
    present += k.support > 0 ? 1 : 0;
    involved += k.support + k.predicted > 0 ? 1 : 0;
    m.balanced_accuracy += k.recall;
    m.macro_f1 += k.f1;
  }
  m.balanced_accuracy /= static_cast<double>(present);
  m.macro_f1 /= static_cast<double>(involved);
}

}  // namespace

Metrics measure(const Scores& scores, const std::vector<std::int32_t>& labels) {
  const std::size_t classes = scores.classes;
  Metrics m;
  m.n = scores.rows;
  std::vector<Pair> pairs;
  pairs.reserve(m.n);
  std::array<Bin, kBins> bins;
  ScoreSum sum;
  for (std::size_t r = 0; r < scores.rows; ++r) {
    const float* row = scores.row(r);
    const auto truth = static_cast<std::size_t>(labels[r]);
    const auto guess = static_cast<std::size_t>(std::max_element(row, row + classes) - row);
    pairs.emplace_back(truth, guess);

    for (std::size_t c = 0; c < classes; ++c) {
      const double e = row[c] - (c == truth ? 1.0 : 0.0);
      m.brier += e * e;
    }
    sum.add({row, classes}, {&labels[r], 1}, LabelMode::Single);

    Bin& bin = bins[bin_of(row[guess])];
    ++bin.rows;
    bin.correct += guess == truth ? 1 : 0;
    bin.confidence += row[guess];
  }
  const auto n = static_cast<double>(m.n);
  const Score mean = sum.mean();
  m.accuracy = mean.accuracy;
  m.log_loss = mean.log_loss;
  m.brier /= n;
  for (const Bin& bin : bins) m.ece += std::abs(static_cast<double>(bin.correct) - bin.confidence) / n;
  m.confusion = cells_of(std::move(pairs));
  fill_class_metrics(m, classes);
  return m;
}

std::vector<std::size_t> dense_confusion(const Metrics& metrics) {
  const std::size_t classes = metrics.per_class.size();
  std::vector<std::size_t> out(classes * classes);
  for (const ConfusionCell& cell : metrics.confusion) out[cell.truth * classes + cell.predicted] = cell.rows;
  return out;
}

std::pair<double, double> wilson_interval(double share, std::size_t n) {
  constexpr double kZ = 1.959963984540054;  // 97.5 % point of the normal distribution
  const auto count = static_cast<double>(n);
  const double z2 = kZ * kZ / count;
  const double centre = (share + z2 / 2) / (1 + z2);
  const double half = kZ / (1 + z2) * std::sqrt(share * (1 - share) / count + z2 / (4 * count));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

}  // namespace graft::metrics
