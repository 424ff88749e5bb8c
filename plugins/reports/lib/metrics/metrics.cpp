#include <metrics/metrics.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <graft/error.h>

namespace graft::metrics {
namespace {

double as_double(std::uint64_t n) {
  return static_cast<double>(n);
}

double fraction(double part, double whole) {
  return whole == 0 ? 0 : part / whole;
}

/// Mean over the rows of something that each row has.
template <typename OfRow>
double mean_of_rows(const Sample& s, const OfRow& of_row) {
  double sum = 0;
  for (std::size_t r = 0; r < s.rows().rows(); ++r)
    if (s.times(r) > 0) sum += s.times(r) * of_row(r);
  return sum / as_double(s.n());
}

enum class Average { Macro, Weighted };

/// Mean over classes of one of their ratios. Macro: over the classes that have rows or were predicted;
/// weighted: by their rows.
double mean_of_classes(const Sample& s, double (ClassCounts::*ratio)() const, Average average) {
  double sum = 0, weights = 0;
  for (const ClassCounts& c : s.per_class()) {
    const double weight = average == Average::Weighted  ? as_double(c.support)
                          : c.support + c.predicted > 0 ? 1
                                                        : 0;
    if (weight == 0) continue;
    sum += weight * (c.*ratio)();
    weights += weight;
  }
  return fraction(sum, weights);
}

template <double (ClassCounts::*kRatio)() const, Average kAverage>
Measured class_mean(const Sample& s) {
  return mean_of_classes(s, kRatio, kAverage);
}

/// Of all decisions together.
template <double (ClassCounts::*kRatio)() const>
Measured micro(const Sample& s) {
  ClassCounts all;
  for (const ClassCounts& c : s.per_class()) {
    all.support += c.support;
    all.predicted += c.predicted;
    all.hits += c.hits;
  }
  return (all.*kRatio)();
}

Measured accuracy(const Sample& s) {
  return mean_of_rows(s, [&](std::size_t r) { return s.rows().score(r).accuracy; });
}

Measured log_loss(const Sample& s) {
  return mean_of_rows(s, [&](std::size_t r) { return s.rows().score(r).log_loss; });
}

Measured balanced_accuracy(const Sample& s) {
  double sum = 0, present = 0;
  for (const ClassCounts& c : s.per_class()) {
    sum += c.recall();
    present += c.support > 0 ? 1 : 0;
  }
  return sum / present;
}

/// A true class counts as found where fewer than k classes come before it; ties go to the lower class.
Measured top_5_accuracy(const Sample& s) {
  constexpr std::size_t kTop = 5;
  const std::size_t classes = s.rows().classes();
  if (classes <= kTop)
    return Measured::undefined("it takes more than 5 classes, there are " + std::to_string(classes));
  return mean_of_rows(s, [&](std::size_t r) {
    const auto scores = s.rows().scores(r);
    const std::size_t truth = s.rows().truth(r);
    std::size_t before = 0;
    for (std::size_t c = 0; c < classes; ++c)
      before += scores[c] > scores[truth] || (scores[c] == scores[truth] && c < truth) ? 1 : 0;
    return before < kTop ? 1.0 : 0.0;
  });
}

Measured expected_calibration_error(const Sample& s) {
  double sum = 0;
  for (const CalibrationBin& bin : calibration_bins(s))
    sum += std::abs(as_double(bin.correct) - bin.confidence) / as_double(s.n());
  return sum;
}

Measured brier_of_one_label(const Sample& s) {
  double sum = 0;
  for (std::size_t r = 0; r < s.rows().rows(); ++r) {
    if (s.times(r) == 0) continue;
    const auto scores = s.rows().scores(r);
    for (std::size_t c = 0; c < scores.size(); ++c) {
      const double e = scores[c] - (c == s.rows().truth(r) ? 1.0 : 0.0);
      sum += s.times(r) * (e * e);
    }
  }
  return sum / as_double(s.n());
}

Measured brier_of_several_labels(const Sample& s) {
  double sum = 0;
  for (std::size_t c = 0; c < s.rows().classes(); ++c)
    for (std::size_t r = 0; r < s.rows().rows(); ++r) {
      const double e = static_cast<double>(s.rows().scores(r)[c]) - (s.rows().has_label(r, c) ? 1.0 : 0.0);
      sum += s.times(r) * (e * e);
    }
  return sum / as_double(s.n());
}

Measured hamming_loss(const Sample& s) {
  std::uint64_t wrong = 0;
  for (const ClassCounts& c : s.per_class()) wrong += c.support + c.predicted - 2 * c.hits;
  return as_double(wrong) / (as_double(s.n()) * as_double(s.rows().classes()));
}

constexpr const char* kOneClass = "all rows are of one class";

/// Mean over the classes that have rows; of their areas against the rest.
Measured roc_auc(const Sample& s) {
  double sum = 0, present = 0;
  for (const ClassRanking& c : s.per_class_ranking()) {
    sum += c.roc_auc;
    present += c.has_both ? 1 : 0;
  }
  if (present == 0)
    return Measured::undefined(s.rows().mode() == LabelMode::Single
                                   ? kOneClass
                                   : "no label has both rows that show it and rows that do not");
  return sum / present;
}

Measured mean_average_precision(const Sample& s) {
  double sum = 0, present = 0;
  const auto& ranking = s.per_class_ranking();
  for (std::size_t c = 0; c < ranking.size(); ++c) {
    if (s.per_class()[c].support == 0) continue;
    ++present;
    sum += ranking[c].average_precision;
  }
  if (present == 0) return Measured::undefined("no row shows any of the classes");
  return sum / present;
}

/// Rows whose class was found, and the sum over classes of their rows times their predictions: all that the
/// agreement of two labellings depends on.
struct Agreement {
  double n = 0, correct = 0, chance = 0, truth_squared = 0, predicted_squared = 0;
  explicit Agreement(const Sample& s) : n(as_double(s.n())) {
    for (const ClassCounts& c : s.per_class()) {
      const double t = as_double(c.support), p = as_double(c.predicted);
      correct += as_double(c.hits);
      chance += t * p;
      truth_squared += t * t;
      predicted_squared += p * p;
    }
  }
};

/// Cohen 1960.
Measured cohen_kappa(const Sample& s) {
  const Agreement a(s);
  const double expected = a.chance / a.n;
  if (expected == a.n) return Measured::undefined("truth and predictions are one and the same class");
  return (a.correct - expected) / (a.n - expected);
}

/// For several classes by Gorodkin 2004.
Measured matthews_correlation(const Sample& s) {
  const Agreement a(s);
  const double truth = a.n * a.n - a.truth_squared, predicted = a.n * a.n - a.predicted_squared;
  if (truth == 0) return Measured::undefined(kOneClass);
  if (predicted == 0) return Measured::undefined("all predictions are one class");
  return (a.correct * a.n - a.chance) / std::sqrt(truth * predicted);
}

std::vector<Metric> table() {
  using enum Average;
  using Cost = Metric::Cost;
  using Needs = Metric::Needs;
  constexpr auto kPrecision = &ClassCounts::precision;
  constexpr auto kRecall = &ClassCounts::recall;
  constexpr auto kF1 = &ClassCounts::f1;
  constexpr auto kMacroF1 = class_mean<kF1, Macro>;
  constexpr auto kMacroPrecision = class_mean<kPrecision, Macro>;
  constexpr auto kMacroRecall = class_mean<kRecall, Macro>;
  constexpr auto kWeightedF1 = class_mean<kF1, Weighted>;
  constexpr auto kWeightedPrecision = class_mean<kPrecision, Weighted>;
  constexpr auto kWeightedRecall = class_mean<kRecall, Weighted>;
  constexpr auto kMicroF1 = micro<kF1>;
  return {
      {higher_is_better("mean_average_precision")
           .titled("mAP")
           .doc("Mean average precision over the classes that have rows.")
           .in_summary()
           .criterion(),
       nullptr, mean_average_precision, Cost::Ranking, Needs::Order},
      {higher_is_better("accuracy")
           .doc("Fraction of rows whose highest score is that of the true class; with several labels, whose "
                "whole set of labels is right.")
           .in_summary()
           .criterion(),
       accuracy, accuracy},
      {higher_is_better("balanced_accuracy")
           .titled("balanced")
           .doc("Mean recall over the classes that have rows.")
           .in_summary(),
       balanced_accuracy},
      {lower_is_better("hamming_loss")
           .titled("Hamming")
           .doc("Fraction of wrong decisions among rows x classes."),
       nullptr, hamming_loss},
      {higher_is_better("micro_f1").titled("micro F1").doc("F1 of all decisions together."), kMicroF1,
       kMicroF1},
      {higher_is_better("macro_f1")
           .titled("macro F1")
           .doc("Mean F1 over the classes that have rows or were predicted."),
       kMacroF1, kMacroF1},
      {lower_is_better("log_loss")
           .doc("Mean -log of the true class's probability; with several labels, of every decision's.")
           .in_summary()
           .tie_break(),
       log_loss, log_loss, Cost::Rows, Needs::Probabilities},
      {lower_is_better("ece").titled("ECE").doc(
           "Expected calibration error: 15 bins of equal width of the highest score."),
       expected_calibration_error, nullptr, Cost::Rows, Needs::Probabilities},
      {lower_is_better("brier").titled("Brier").doc(
           "Mean squared distance of the scores from the truth, summed over classes."),
       brier_of_one_label, brier_of_several_labels, Cost::Cells, Needs::Probabilities},
      {higher_is_better("top_5_accuracy")
           .titled("top-5")
           .doc("Fraction of rows whose true class is among the five with the highest scores."),
       top_5_accuracy, nullptr, Cost::Cells, Needs::Order},
      {higher_is_better("roc_auc").titled("ROC-AUC").doc(
           "Mean area under the ROC curve, each class against the rest."),
       roc_auc, roc_auc, Cost::Ranking, Needs::Order},
      {higher_is_better("macro_average_precision")
           .titled("macro AP")
           .doc("Mean average precision, each class against the rest, over the classes that have rows."),
       mean_average_precision, nullptr, Cost::Ranking, Needs::Order},
      {higher_is_better("cohen_kappa").titled("kappa").doc("Agreement beyond chance (Cohen 1960)."),
       cohen_kappa},
      {higher_is_better("matthews_corrcoef")
           .titled("MCC")
           .doc("Matthews correlation coefficient, for several classes by Gorodkin 2004."),
       matthews_correlation},
      {higher_is_better("macro_precision").doc("Mean precision over the classes that occur."),
       kMacroPrecision, kMacroPrecision},
      {higher_is_better("macro_recall").doc("Mean recall over the classes that occur."), kMacroRecall,
       kMacroRecall},
      {higher_is_better("micro_precision").doc("Precision of all decisions together."), micro<kPrecision>,
       micro<kPrecision>},
      {higher_is_better("micro_recall").doc("Recall of all decisions together."), micro<kRecall>,
       micro<kRecall>},
      {higher_is_better("weighted_precision").doc("Mean precision over classes, weighted by their rows."),
       kWeightedPrecision, kWeightedPrecision},
      {higher_is_better("weighted_recall").doc("Mean recall over classes, weighted by their rows."),
       kWeightedRecall, kWeightedRecall},
      {higher_is_better("weighted_f1")
           .titled("weighted F1")
           .doc("Mean F1 over classes, weighted by their rows."),
       kWeightedF1, kWeightedF1},
  };
}

/// Bin (i / 15, (i + 1) / 15] that holds a confidence; 0 belongs to the first.
std::size_t bin_of(double confidence) {
  constexpr auto kBins = static_cast<double>(kCalibrationBins);
  return static_cast<std::size_t>(std::clamp(std::ceil(confidence * kBins) - 1, 0.0, kBins - 1));
}

}  // namespace

const std::vector<Metric>& all_metrics() {
  static const std::vector<Metric> kAll = table();
  return kAll;
}

const Metric& metric(std::string_view name) {
  const auto& all = all_metrics();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Metric& m) { return m.spec.name == name; });
  if (found == all.end()) throw Error("no metric '" + std::string(name) + "'");
  return *found;
}

std::vector<FigureSpec> figure_specs() {
  std::vector<FigureSpec> out;
  for (const Metric& m : all_metrics()) out.push_back(m.spec);
  return out;
}

Measured measure(const Metric& metric, const Sample& sample) {
  const ScoredRows& rows = sample.rows();
  using Needs = Metric::Needs;
  const bool can = metric.needs == Needs::Order       ? rows.has_order()
                   : metric.needs == Needs::Decisions ? rows.has_decisions()
                                                      : rows.improper().empty();
  return can ? metric.of(rows.mode())(sample) : Measured::undefined(rows.improper());
}

double value_of(std::string_view name, const Sample& sample) {
  return measure(metric(name), sample).value.value_or(std::nan(""));
}

std::vector<ConfusionCell> confusion(const ScoredRows& rows) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs;
  pairs.reserve(rows.rows());
  for (std::size_t r = 0; r < rows.rows(); ++r) pairs.emplace_back(rows.truth(r), rows.predicted(r));
  std::sort(pairs.begin(), pairs.end());
  std::vector<ConfusionCell> cells;
  for (const auto& [truth, predicted] : pairs) {
    if (cells.empty() || cells.back().truth != truth || cells.back().predicted != predicted)
      cells.push_back({truth, predicted, 0});
    ++cells.back().rows;
  }
  return cells;
}

std::vector<std::size_t> dense(const std::vector<ConfusionCell>& cells, std::size_t classes) {
  std::vector<std::size_t> out(classes * classes);
  for (const ConfusionCell& cell : cells) out[cell.truth * classes + cell.predicted] = cell.rows;
  return out;
}

std::vector<CalibrationBin> calibration_bins(const Sample& sample) {
  const ScoredRows& rows = sample.rows();
  std::vector<CalibrationBin> bins(kCalibrationBins);
  for (std::size_t r = 0; r < rows.rows(); ++r) {
    if (sample.times(r) == 0) continue;
    const double confidence = rows.scores(r)[rows.predicted(r)];
    CalibrationBin& bin = bins[bin_of(confidence)];
    bin.rows += sample.times(r);
    bin.correct += rows.predicted(r) == rows.truth(r) ? sample.times(r) : 0;
    bin.confidence += sample.times(r) * confidence;
  }
  return bins;
}

}  // namespace graft::metrics
