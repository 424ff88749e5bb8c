#include "figures.h"

#include <cmath>
#include <numeric>

#include <metrics/labelled.h>
#include <metrics/metrics.h>
#include <metrics/sample.h>

namespace graft {
Figures figures(const Predictions& of, const Predictions::Part& part, const char* name) {
  const metrics::Labelled rows = metrics::labelled(of, part, name);
  Figures f;
  f.n = rows.rows.size();
  if (f.n == 0) return f;
  const metrics::ScoredRows scored(rows, metrics::label_mode(of.multi_label));
  for (std::size_t r = 0; r < f.n && scored.has_decisions(); ++r) {
    f.correct.push_back(scored.score(r).accuracy);
    f.keys.push_back(part.keys[rows.rows[r]]);
  }
  const metrics::Sample sample(scored);
  f.balanced = metrics::value_of(of.multi_label ? "mean_average_precision" : "balanced_accuracy", sample);
  f.accuracy = metrics::value_of("accuracy", sample);
  f.log_loss = metrics::value_of("log_loss", sample);
  return f;
}

Spread spread(const std::vector<double>& values) {
  Spread s{0, std::nan("")};
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
