#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>

#include <graft/plugin.h>

#include <learning/bundle.h>
#include <learning/learning.h>
#include <metrics/labelled.h>
#include <metrics/metrics.h>
#include <metrics/sample.h>
#include "scaling.h"

namespace graft {
namespace {

class TemperatureCalibration final : public Calibration {
 public:
  explicit TemperatureCalibration(TemperatureScaling scaling) : scaling_(scaling) {}
  void apply(Scores& scores) const override { scaling_.apply(scores); }
  void save(Bundle& bundle) const override {
    bundle.facts["temperature"] = scaling_.temperature;
    bundle.facts["multi_label"] = scaling_.multi_label;
  }

 private:
  TemperatureScaling scaling_;
};

/// What a temperature does to the scores of val.
Value describe(const metrics::Labelled& rows, const TemperatureScaling& scaling) {
  Scores scores = rows.scores;
  scaling.apply(scores);
  const metrics::ScoredRows scored(scores, rows.labels, metrics::label_mode(scaling.multi_label));
  const metrics::Sample sample(scored);
  Value v = Value::map();
  v["temperature"] = scaling.temperature;
  const auto add = [&](const char* name) { v[name] = metrics::value_of(name, sample); };
  if (scaling.multi_label) {
    for (const char* name : {"log_loss", "brier", "accuracy", "mean_average_precision"}) add(name);
    return v;
  }
  for (const char* name : {"log_loss", "ece", "brier", "accuracy", "balanced_accuracy"}) add(name);
  // The same if classes were drawn from the scores instead of taking the highest: this one the temperature
  // moves.
  std::vector<double> recall(scores.classes);
  for (std::size_t r = 0; r < scored.rows(); ++r) {
    const std::uint32_t c = scored.truth(r);
    recall[c] += static_cast<double>(scores.row(r)[c]) / static_cast<double>(sample.per_class()[c].support);
  }
  double sum = 0, present = 0;
  for (std::size_t c = 0; c < recall.size(); ++c) {
    sum += recall[c];
    present += sample.per_class()[c].support > 0 ? 1 : 0;
  }
  v["drawn_balanced_accuracy"] = sum / present;
  return v;
}

/// What val rows whose log loss falls up to the limit of the temperatures are like.
std::string why_at_limit(const metrics::Labelled& val, const TemperatureScaling& at) {
  const std::size_t rows = val.rows.size();
  const bool high = at.temperature == kHighestTemperature;
  const metrics::ScoredRows scored(val, metrics::label_mode(at.multi_label));
  const metrics::Sample sample(scored);
  if (at.multi_label) {
    const double right = 1 - metrics::value_of("hamming_loss", sample);
    if (!high && right == 1) return fmt::format("its {} val rows are all classified right", rows);
    if (high && right <= 0.5)
      return fmt::format("its {} val rows are classified as if by chance ({:.4f} of the decisions are right)",
                         rows, right);
    return fmt::format(
        "the log loss of its {} val rows ({:.4f} of the decisions are right) still falls there", rows, right);
  }
  const double accuracy = metrics::value_of("accuracy", sample);
  if (!high && accuracy == 1) return fmt::format("its {} val rows are all classified right", rows);
  std::uint64_t largest = 0;
  for (const metrics::ClassCounts& c : sample.per_class()) largest = std::max(largest, c.support);
  const double constant = static_cast<double>(largest) / static_cast<double>(rows);
  if (high && accuracy <= constant)
    return fmt::format(
        "its {} val rows are classified as if by chance (accuracy {:.4f}; one class for all: {:.4f})", rows,
        accuracy, constant);
  return fmt::format("the log loss of its {} val rows (accuracy {:.4f}) still falls there", rows, accuracy);
}

class Temperature final : public Calibrator {
 public:
  explicit Temperature(const StageContext& context)
      : list_(context.params.get<std::vector<double>>("temperatures")), warn_(context.warn) {
    if (context.params.has("temperature")) fixed_ = context.params.get<double>("temperature");
    std::sort(list_.begin(), list_.end(), std::greater<>());
    list_.erase(std::unique(list_.begin(), list_.end()), list_.end());
  }

  CalibratorResult fit(const Predictions& predictions) override {
    const metrics::Labelled val = metrics::labelled(predictions, predictions.val, "val");
    // Another sum than 1 is no obstacle: what comes out adds up to 1.
    if (const auto improper = improper_scores(val.scores, /*multi_label=*/true))
      throw Error(fmt::format(
          "'{}': scores of {} of {} inputs are not class probabilities: {}; a temperature corrects "
          "probabilities: mend the learner, or take this stage out",
          predictions.learner, improper->rows, val.scores.rows,
          improper->describe(predictions.val.keys[val.rows[improper->first]], predictions.classes)));
    TemperatureScaling scaling{fixed_.value_or(1), predictions.multi_label};
    CalibratorResult out;
    out.summary = Value::map();
    const bool fits = !fixed_ && !val.rows.empty();
    if (fits) {
      scaling.temperature = fit_temperature(val.scores, val.labels, predictions.multi_label);
    } else if (!fixed_) {
      warn_(fmt::format(
          "'{}' has no labelled val rows to fit a temperature to: its scores stay as they are; give the "
          "source a val split, or set temperature",
          predictions.learner));
    }
    if (fits && (scaling.temperature == kLowestTemperature || scaling.temperature == kHighestTemperature)) {
      warn_(
          fmt::format("the temperature of '{}' ends at its limit of {}: {}, which says little of how sure it "
                      "may be; give it more val rows, or set temperature",
                      predictions.learner, scaling.temperature, why_at_limit(val, scaling)));
    }
    out.summary["temperature"] = scaling.temperature;
    out.summary["chosen_on"] = fixed_ ? "given" : fits ? "val" : "nothing";
    out.summary["val_rows"] = static_cast<std::int64_t>(val.rows.size());
    if (!val.rows.empty()) {
      out.summary["before"] = describe(val, {1, predictions.multi_label});
      out.summary["after"] = describe(val, scaling);
      for (const double t : list_)
        out.summary["temperatures"].push(describe(val, {t, predictions.multi_label}));
    }
    out.calibration = std::make_unique<TemperatureCalibration>(scaling);
    return out;
  }

  std::unique_ptr<Calibration> load(const Bundle& bundle) const override {
    const TemperatureScaling scaling{learning::fact(bundle, "temperature").as_double(),
                                     learning::fact(bundle, "multi_label").as_bool()};
    if (!(scaling.temperature > 0)) {
      throw Error(fmt::format(
          "'temperature' of the bundle is {}: expected a number above 0; the bundle is damaged or of "
          "another plugin; train the model again",
          scaling.temperature));
    }
    return std::make_unique<TemperatureCalibration>(scaling);
  }

 private:
  std::vector<double> list_;
  std::optional<double> fixed_;
  std::function<void(const std::string&)> warn_;
};

constexpr const char* kStages = R"(  probe: {plugin: linear_probe, from: table}
  calibrated: {plugin: temperature, from: probe, with: {temperatures: [4, 2, 1, 0.5]}}
  report: {plugin: evaluate, from: [probe, calibrated]}
)";

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(
    temperature, "1.0.3", graft::Temperature,
    graft::PluginSchema::calibrator("Temperature scaling: makes a learner's scores as sure as they are "
                                    "right, on val; its decisions stay.")
        .input(graft::PortType::Predictor, "Any learner.")
        .output("out", graft::PortType::Predictor, "f32[?]", "The same scores, their logits divided by T.")
        .param(graft::number("temperature")
                   .range(1e-3, 1e3)
                   .optional()
                   .doc("T to use; default: the one with the lowest log loss on val."))
        .param(graft::list("temperatures", graft::number("temperature").range(1e-3, 1e3))
                   .items(0, 1000)
                   .default_list({})
                   .doc("Others to look at: the summary has the scores of val at each, from high to low."))
        .example(graft::learning::config_on_features("temperature", graft::kStages)))
