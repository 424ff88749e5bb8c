#include "panel.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <graft/text.h>

#include <metrics/labelled.h>
#include <metrics/sample.h>

namespace graft::page {
namespace {

using metrics::LabelMode;
using metrics::ScoredRows;

std::string names_of(const std::vector<std::string>& classes, const std::vector<std::int32_t>& labels) {
  std::vector<std::string> names;
  for (const std::int32_t label : labels) names.push_back(classes[static_cast<std::size_t>(label)]);
  return names.empty() ? "none" : joined(names);
}

/// The classes that a row is taken for.
std::vector<std::int32_t> predicted_of(const ScoredRows& rows, std::size_t r) {
  if (rows.mode() == LabelMode::Single) return {static_cast<std::int32_t>(rows.predicted(r))};
  std::vector<std::int32_t> out;
  for (std::size_t c = 0; c < rows.classes(); ++c)
    if (rows.scores(r)[c] >= metrics::kDecision) out.push_back(static_cast<std::int32_t>(c));
  return out;
}

/// How sure a row's decision is: of one label the lead of the highest score, else the distance of the nearest
/// decision from the threshold.
double certainty(const ScoredRows& rows, std::size_t r) {
  const auto scores = rows.scores(r);
  if (rows.mode() == LabelMode::Single) {
    float first = 0, second = 0;
    for (const float s : scores) {
      second = std::max(second, std::min(first, s));
      first = std::max(first, s);
    }
    return static_cast<double>(first) - static_cast<double>(second);
  }
  double nearest = 1;
  for (const float s : scores)
    nearest = std::min(nearest, std::abs(static_cast<double>(s - metrics::kDecision)));
  return nearest;
}

/// How sure of itself a wrong row is.
double boldness(const ScoredRows& rows, std::size_t r) {
  return rows.mode() == LabelMode::Single ? static_cast<double>(rows.scores(r)[rows.predicted(r)])
                                          : rows.score(r).log_loss;
}

}  // namespace

Panel panel_of(const Predictions& p, const PanelLimits& limits) {
  Panel panel;
  panel.learner = p.learner;
  panel.classes = p.classes;
  panel.multi_label = p.multi_label;
  panel.summary = p.summary;
  const Predictions::Part* part = &p.test;
  metrics::Labelled labelled = metrics::labelled(p, p.test, "test");
  panel.split = "test";
  if (labelled.rows.empty()) {
    part = &p.val;
    labelled = metrics::labelled(p, p.val, "val");
    panel.split = "val";
  }
  if (labelled.rows.empty()) {
    panel.split.clear();
    return panel;
  }
  const std::vector<std::size_t> positions = labelled.rows;
  const ScoredRows rows(std::move(labelled), metrics::label_mode(p.multi_label));
  panel.n = rows.rows();
  panel.improper = rows.improper();
  if (!rows.has_decisions()) return panel;
  for (const std::size_t r : positions) panel.keys.push_back(part->keys[r]);
  const metrics::Sample sample(rows);
  panel.per_class = sample.per_class();
  for (std::size_t r = 0; r < panel.n; ++r) {
    panel.correct.push_back(rows.score(r).accuracy);
    panel.right += rows.score(r).accuracy == 1 ? 1 : 0;
  }
  const auto item = [&](std::size_t r) {
    const std::vector<std::int32_t> predicted = predicted_of(rows, r);
    const auto scores = rows.scores(r);
    const double score = predicted.empty() ? 0 : scores[static_cast<std::size_t>(predicted[0])];
    return Item{panel.keys[r],
                names_of(p.classes, rows.labels(r)),
                names_of(p.classes, predicted),
                score,
                panel.correct[r] == 1,
                {}};
  };
  const auto first_by = [&](const auto& wanted, const auto& key) {
    std::vector<std::pair<double, std::size_t>> order;
    for (std::size_t r = 0; r < panel.n; ++r)
      if (wanted(r)) order.emplace_back(key(r), r);
    const std::size_t most = std::min(order.size(), limits.gallery);
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(most), order.end());
    std::vector<Item> out;
    for (std::size_t i = 0; i < most; ++i) out.push_back(item(order[i].second));
    return out;
  };
  panel.mistakes = first_by([&](std::size_t r) { return panel.correct[r] == 0; },
                            [&](std::size_t r) { return -boldness(rows, r); });
  if (panel.improper.empty())
    panel.unsure =
        first_by([](std::size_t) { return true; }, [&](std::size_t r) { return certainty(rows, r); });
  if (p.multi_label) return panel;

  panel.confusion = metrics::confusion(rows);
  if (panel.improper.empty()) panel.calibration = metrics::calibration_bins(sample);
  std::vector<metrics::ConfusionCell> largest = panel.confusion;
  std::stable_sort(largest.begin(), largest.end(), [](const auto& a, const auto& b) {
    const bool error_a = a.truth != a.predicted, error_b = b.truth != b.predicted;
    return error_a != error_b ? error_a : a.rows > b.rows;
  });
  largest.resize(std::min(largest.size(), limits.cells));
  for (const metrics::ConfusionCell& cell : largest) panel.cells[{cell.truth, cell.predicted}];
  for (std::size_t r = 0; r < panel.n; ++r) {
    const auto cell = panel.cells.find({rows.truth(r), rows.predicted(r)});
    if (cell != panel.cells.end() && cell->second.size() < limits.cell) cell->second.push_back(item(r));
  }
  return panel;
}

}  // namespace graft::page
