#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include <graft/plugin.h>

#include "metrics.h"
#include "text_report.h"

namespace graft {
namespace {

/// Figures of the labelled rows; nothing when there are none.
std::optional<Metrics> evaluate_part(const Predictions& of, const Predictions::Part& part, const char* name) {
  const Scores& scores = part.scores;
  const auto where = [&] { return fmt::format("predictions of '{}' on {}", of.learner, name); };
  if (part.keys.size() != scores.rows || part.labels.size() != scores.rows ||
      (scores.rows > 0 && scores.classes != of.classes.size())) {
    throw Error(fmt::format(
        "{}: {} keys, {} labels and scores of {} rows x {} classes: expected one of each for the {} "
        "classes; the learner returned scores of the wrong shape",
        where(), part.keys.size(), part.labels.size(), scores.rows, scores.classes, of.classes.size()));
  }
  std::vector<std::int32_t> labels;
  Scores labelled;
  labelled.classes = scores.classes;
  for (std::size_t r = 0; r < scores.rows; ++r) {
    if (part.labels[r].empty()) continue;
    if (part.labels[r].size() > 1) {
      throw Error(
          fmt::format("{}: item '{}' has {} labels: expected one; evaluate scores single-label predictions",
                      where(), part.keys[r], part.labels[r].size()));
    }
    const std::int32_t label = part.labels[r][0];
    if (label < 0 || static_cast<std::size_t>(label) >= of.classes.size()) {
      throw Error(fmt::format("{}: item '{}' has label {}: expected 0 to {}; check the labels of the source",
                              where(), part.keys[r], label,
                              static_cast<std::int64_t>(of.classes.size()) - 1));
    }
    const float* row = scores.row(r);
    if (!std::all_of(row, row + scores.classes, [](float v) { return v >= 0.0F && v <= 1.001F; })) {
      throw Error(fmt::format(
          "{}: item '{}' has a score outside 0 to 1: expected class probabilities; this is a fault "
          "of the learner",
          where(), part.keys[r]));
    }
    labels.push_back(label);
    labelled.values.insert(labelled.values.end(), row, row + scores.classes);
  }
  if (labels.empty()) return {};
  labelled.rows = labels.size();
  return measure(labelled, labels);
}

Value to_value(const Metrics& m, const std::vector<std::string>& classes) {
  const auto [low, high] = wilson_interval(m.accuracy, m.n);
  Value v = Value::map();
  v["n"] = static_cast<std::int64_t>(m.n);
  v["accuracy"] = m.accuracy;
  v["balanced_accuracy"] = m.balanced_accuracy;
  v["macro_f1"] = m.macro_f1;
  v["log_loss"] = m.log_loss;
  v["ece"] = m.ece;
  v["brier"] = m.brier;
  v["accuracy_interval"] = Value::List{low, high};
  Value confusion = Value::list();
  Value per_class = Value::list();
  for (std::size_t c = 0; c < classes.size(); ++c) {
    Value row = Value::list();
    for (std::size_t p = 0; p < classes.size(); ++p) {
      row.push(static_cast<std::int64_t>(m.confusion[c * classes.size() + p]));
    }
    confusion.push(std::move(row));
    Value k = Value::map();
    k["class"] = classes[c];
    k["support"] = static_cast<std::int64_t>(m.per_class[c].support);
    k["predicted"] = static_cast<std::int64_t>(m.per_class[c].predicted);
    k["precision"] = m.per_class[c].precision;
    k["recall"] = m.per_class[c].recall;
    k["f1"] = m.per_class[c].f1;
    per_class.push(std::move(k));
  }
  v["confusion"] = std::move(confusion);
  v["per_class"] = std::move(per_class);
  return v;
}

class Evaluate final : public Report {
 public:
  explicit Evaluate(const StageContext& context)
      : confusion_up_to_(context.params.get<std::size_t>("confusion_up_to")) {}

  ReportOutput report(const ReportInput& input) override {
    ReportOutput out;
    std::vector<LearnerMetrics> all;
    for (const Predictions& p : input.predictions) {
      LearnerMetrics metrics{p.learner, p.classes, evaluate_part(p, p.val, "val"),
                             evaluate_part(p, p.test, "test")};
      Value& entry = out.learners[p.learner] = Value::map();
      if (metrics.val) entry["val"] = to_value(*metrics.val, p.classes);
      if (metrics.test) entry["test"] = to_value(*metrics.test, p.classes);
      all.push_back(std::move(metrics));
    }
    out.text = text_report(all, confusion_up_to_);
    return out;
  }

 private:
  std::size_t confusion_up_to_;
};

constexpr const char* kExample = R"(name: evaluate
stages:
  images: {plugin: synthetic}
  features:
    plugin: torch_backbone
    from: images
    with: {model: "${GRAFT_SHARE}/quickstart_backbone.safetensors"}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  knn: {plugin: knn, from: table}
  report: {plugin: evaluate, from: [probe, knn], with: {confusion_up_to: 12}}
)";

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(evaluate, "1.0.0", graft::Evaluate,
             graft::PluginSchema::report(
                 "Accuracy, balanced accuracy, macro F1, log loss, calibration error and confusion "
                 "matrix of learners, on val and test.")
                 .input(graft::PortType::Predictor, "Learners to compare.", true)
                 .param(graft::integer("confusion_up_to", 4)
                            .range(0, 50)
                            .unit("classes")
                            .neutral()
                            .doc("Confusion matrices are printed for learners of at most this many classes; "
                                 "results.json has "
                                 "them all."))
                 .example(graft::kExample))
