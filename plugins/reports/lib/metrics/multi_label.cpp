#include <metrics/multi_label.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <metrics/score.h>

namespace graft::metrics {
namespace {

constexpr float kDecision = 0.5F;

double ratio(double part, double whole) {
  return whole == 0 ? 0 : part / whole;
}

double average_precision(const Scores& scores, std::size_t c, const std::vector<std::uint8_t>& truth) {
  std::vector<std::size_t> order(scores.rows);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return scores.row(a)[c] > scores.row(b)[c]; });
  const auto all = static_cast<double>(std::accumulate(truth.begin(), truth.end(), std::size_t{0}));
  double area = 0, hits = 0, before = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    hits += truth[order[i]];
    const bool tie = i + 1 < order.size() && scores.row(order[i])[c] == scores.row(order[i + 1])[c];
    if (tie) continue;
    area += (hits - before) / all * hits / static_cast<double>(i + 1);
    before = hits;
  }
  return area;
}

}  // namespace

MultiLabelMetrics measure_multi_label(const Scores& scores,
                                      const std::vector<std::vector<std::int32_t>>& labels) {
  MultiLabelMetrics m;
  m.n = scores.rows;
  m.per_class.resize(scores.classes);
  std::vector<std::uint8_t> truth(m.n);
  std::size_t wrong = 0, hits_of_all = 0, decided = 0, support = 0, present = 0, involved = 0;
  for (std::size_t c = 0; c < scores.classes; ++c) {
    LabelMetrics& k = m.per_class[c];
    std::size_t hits = 0;
    for (std::size_t r = 0; r < m.n; ++r) {
      truth[r] =
          std::find(labels[r].begin(), labels[r].end(), static_cast<std::int32_t>(c)) != labels[r].end();
      const float score = scores.row(r)[c];
      const bool yes = score >= kDecision;
      k.support += truth[r];
      k.predicted += yes ? 1 : 0;
      hits += yes && truth[r] != 0 ? 1 : 0;
      wrong += yes != (truth[r] != 0) ? 1 : 0;
      m.brier += (score - truth[r]) * (score - truth[r]);
    }
    k.precision = ratio(static_cast<double>(hits), static_cast<double>(k.predicted));
    k.recall = ratio(static_cast<double>(hits), static_cast<double>(k.support));
    k.f1 = ratio(2.0 * static_cast<double>(hits), static_cast<double>(k.predicted + k.support));
    hits_of_all += hits;
    decided += k.predicted;
    support += k.support;
    involved += k.support + k.predicted > 0 ? 1 : 0;
    m.macro_f1 += k.f1;
    if (k.support == 0) continue;
    ++present;
    k.average_precision = average_precision(scores, c, truth);
    m.mean_average_precision += k.average_precision;
  }
  const auto n = static_cast<double>(m.n);
  const double cells = n * static_cast<double>(scores.classes);
  ScoreSum sum;
  for (std::size_t r = 0; r < m.n; ++r) sum.add({scores.row(r), scores.classes}, labels[r], LabelMode::Multi);
  const Score mean = sum.mean();
  m.accuracy = mean.accuracy;
  m.log_loss = mean.log_loss;
  m.hamming_loss = static_cast<double>(wrong) / cells;
  m.micro_f1 = ratio(2.0 * static_cast<double>(hits_of_all), static_cast<double>(decided + support));
  m.macro_f1 = ratio(m.macro_f1, static_cast<double>(involved));
  m.mean_average_precision = ratio(m.mean_average_precision, static_cast<double>(present));
  m.brier /= n;
  return m;
}

}  // namespace graft::metrics
