#include "metrics/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "metrics/fit.h"

namespace graft {
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

void fill_class_metrics(Metrics& m, std::size_t classes) {
  m.per_class.resize(classes);
  std::size_t present = 0, involved = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    ClassMetrics& k = m.per_class[c];
    for (std::size_t other = 0; other < classes; ++other) {
      k.support += m.confusion[c * classes + other];
      k.predicted += m.confusion[other * classes + c];
    }
    const std::size_t hits = m.confusion[c * classes + c];
    k.precision = ratio(hits, k.predicted);
    k.recall = ratio(hits, k.support);
    k.f1 = ratio(2 * hits, k.predicted + k.support);
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
  m.confusion.assign(classes * classes, 0);
  std::array<Bin, kBins> bins;
  Fit sum;
  for (std::size_t r = 0; r < scores.rows; ++r) {
    const float* row = scores.row(r);
    const auto truth = static_cast<std::size_t>(labels[r]);
    const auto guess = static_cast<std::size_t>(std::max_element(row, row + classes) - row);
    ++m.confusion[truth * classes + guess];

    for (std::size_t c = 0; c < classes; ++c) {
      const double e = row[c] - (c == truth ? 1.0 : 0.0);
      m.brier += e * e;
    }
    sum += fit_of({row, classes}, {&labels[r], 1}, false);

    Bin& bin = bins[bin_of(row[guess])];
    ++bin.rows;
    bin.correct += guess == truth ? 1 : 0;
    bin.confidence += row[guess];
  }
  const auto n = static_cast<double>(m.n);
  const Fit mean = sum.mean(m.n);
  m.accuracy = mean.accuracy;
  m.log_loss = mean.log_loss;
  m.brier /= n;
  for (const Bin& bin : bins) m.ece += std::abs(static_cast<double>(bin.correct) - bin.confidence) / n;
  fill_class_metrics(m, classes);
  return m;
}

std::pair<double, double> wilson_interval(double share, std::size_t n) {
  constexpr double kZ = 1.959963984540054;  // 97.5 % point of the normal distribution
  const auto count = static_cast<double>(n);
  const double z2 = kZ * kZ / count;
  const double centre = (share + z2 / 2) / (1 + z2);
  const double half = kZ / (1 + z2) * std::sqrt(share * (1 - share) / count + z2 / (4 * count));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

}  // namespace graft
