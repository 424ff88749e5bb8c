#include "figures.h"

#include <cmath>
#include <numeric>

#include <metrics/labelled.h>
#include <metrics/metrics.h>
#include <metrics/multi_label.h>
#include <metrics/score.h>

namespace graft {
Figures figures(const Predictions& of, const Predictions::Part& part, const char* name) {
  const metrics::Labelled rows = metrics::labelled(of, part, name);
  Figures f;
  f.n = rows.rows.size();
  if (f.n == 0) return f;
  const metrics::LabelMode mode = metrics::label_mode(of.multi_label);
  for (std::size_t r = 0; r < f.n; ++r) {
    metrics::ScoreSum row;
    row.add({rows.scores.row(r), rows.scores.classes}, rows.labels[r], mode);
    f.correct.push_back(row.mean().accuracy);
    f.keys.push_back(part.keys[rows.rows[r]]);
  }
  if (of.multi_label) {
    const metrics::MultiLabelMetrics m = metrics::measure_multi_label(rows.scores, rows.labels);
    f.balanced = m.mean_average_precision;
    f.accuracy = m.accuracy;
    f.log_loss = m.log_loss;
  } else {
    const metrics::Metrics m = metrics::measure(rows.scores, rows.first_labels());
    f.balanced = m.balanced_accuracy;
    f.accuracy = m.accuracy;
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
