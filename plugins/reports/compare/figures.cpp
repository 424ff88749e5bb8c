#include "figures.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include <metrics/labelled.h>
#include <metrics/metrics.h>
#include <metrics/multi_label.h>
#include <numeric/softmax.h>

namespace graft {
namespace {

/// Whether the labels are exactly those with a score of at least one half.
bool exactly_right(std::span<const float> scores, const std::vector<std::int32_t>& labels) {
  for (std::size_t c = 0; c < scores.size(); ++c) {
    const bool wanted = std::find(labels.begin(), labels.end(), static_cast<std::int32_t>(c)) != labels.end();
    if (wanted != (scores[c] >= 0.5F)) return false;
  }
  return true;
}

}  // namespace

Figures figures(const Predictions& of, const Predictions::Part& part, const char* name) {
  const metrics::Labelled rows = metrics::labelled(of, part, name);
  Figures f;
  f.n = rows.rows.size();
  if (f.n == 0) return f;
  for (std::size_t r = 0; r < f.n; ++r) {
    const std::span<const float> scores(rows.scores.row(r), rows.scores.classes);
    const bool right = of.multi_label
                           ? exactly_right(scores, rows.labels[r])
                           : numeric::argmax(scores) == static_cast<std::size_t>(rows.labels[r].front());
    f.correct.push_back(right ? 1 : 0);
    f.keys.push_back(part.keys[rows.rows[r]]);
  }
  f.accuracy = std::accumulate(f.correct.begin(), f.correct.end(), 0.0) / static_cast<double>(f.n);
  if (of.multi_label) {
    const metrics::MultiLabelMetrics m = metrics::measure_multi_label(rows.scores, rows.labels);
    f.balanced = m.mean_average_precision;
    f.log_loss = m.log_loss;
  } else {
    const metrics::Metrics m = metrics::measure(rows.scores, rows.first_labels());
    f.balanced = m.balanced_accuracy;
    f.log_loss = m.log_loss;
  }
  return f;
}

Spread spread(const std::vector<double>& values) {
  Spread s;
  if (values.empty()) return {std::nan(""), std::nan("")};
  const auto n = static_cast<double>(values.size());
  s.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (values.size() < 2) return s;
  double sum = 0;
  for (const double v : values) sum += (v - s.mean) * (v - s.mean);
  s.deviation = std::sqrt(sum / (n - 1));
  return s;
}

}  // namespace graft
