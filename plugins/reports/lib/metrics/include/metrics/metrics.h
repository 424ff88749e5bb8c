#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <graft/figure.h>

#include <metrics/sample.h>

namespace graft::metrics {

/// What a metric gives: a finite value, or the reason why these rows have none.
struct Measured {
  Measured(double v) : value(v) {}
  static Measured undefined(std::string why) {
    Measured m(0);
    m.value.reset();
    m.why = std::move(why);
    return m;
  }
  std::optional<double> value;
  std::string why;
};

/// A metric of class probabilities. A new one is a function and a line of the table in metrics.cpp; the name
/// is scikit-learn's where it has the metric, and so is the value.
struct Metric {
  FigureSpec spec;
  Measured (*of_one_label)(const Sample&) = nullptr;       ///< Null: makes no sense with one label per row.
  Measured (*of_several_labels)(const Sample&) = nullptr;  ///< Null: makes no sense with several.
  /// How much a resample costs: linear in rows, in rows x classes, or what a ranking takes.
  enum class Cost { Rows, Cells, Ranking } cost = Cost::Rows;
  /// What it asks of scores: that rows can be ordered by them, that they decide what a row is taken for
  /// (ScoredRows::has_decisions), or that they are probabilities.
  enum class Needs { Order, Decisions, Probabilities } needs = Needs::Decisions;

  auto of(LabelMode mode) const { return mode == LabelMode::Single ? of_one_label : of_several_labels; }
};

/// All of them, in the order of tables and results.json.
const std::vector<Metric>& all_metrics();
/// The one of that name; there is no other way to ask for it than by a name of the table.
const Metric& metric(std::string_view name);
/// What a report declares (PluginSchema::figures_from).
std::vector<FigureSpec> figure_specs();
/// Undefined, too, where the scores of the rows are not what the metric needs.
Measured measure(const Metric& metric, const Sample& sample);
/// NaN where these rows have no value.
double value_of(std::string_view name, const Sample& sample);

/// A cell of a confusion matrix: rows of one class that were taken for one class.
struct ConfusionCell {
  std::uint32_t truth = 0, predicted = 0;
  std::size_t rows = 0;
  bool operator==(const ConfusionCell&) const = default;
};
/// Mode Single: the cells that have rows, by true class, then by predicted class: at most as many as rows,
/// however many classes.
std::vector<ConfusionCell> confusion(const ScoredRows& rows);
/// All cells, row-major, true class x predicted class. Quadratic in the classes: for few of them.
std::vector<std::size_t> dense(const std::vector<ConfusionCell>& cells, std::size_t classes);

/// A bin (low, high] of the highest score, of kCalibrationBins of equal width from 0 to 1.
struct CalibrationBin {
  std::uint64_t rows = 0, correct = 0;
  double confidence = 0;  ///< Sum of the highest scores.
};
inline constexpr std::size_t kCalibrationBins = 15;
/// Mode Single (Guo et al. 2017).
std::vector<CalibrationBin> calibration_bins(const Sample& sample);

}  // namespace graft::metrics
