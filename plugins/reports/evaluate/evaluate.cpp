#include <fmt/format.h>

#include <graft/plugin.h>

#include <metrics/labelled.h>
#include <metrics/metrics.h>
#include <metrics/multi_label.h>
#include "text_report.h"

namespace graft {
namespace {

/// Of more classes, results.json has the cells that have rows: the whole matrix is quadratic in the classes.
constexpr std::size_t kWholeConfusion = 100;

void add_confusion(const metrics::Metrics& m, Value& to) {
  const std::size_t classes = m.per_class.size();
  const auto number = [](std::size_t n) { return Value(static_cast<std::int64_t>(n)); };
  if (classes > kWholeConfusion) {
    Value& pairs = to["confusion_pairs"] = Value::list();
    for (const metrics::ConfusionCell& cell : m.confusion)
      pairs.push(Value::List{number(cell.truth), number(cell.predicted), number(cell.rows)});
    return;
  }
  const std::vector<std::size_t> cells = metrics::dense_confusion(m);
  Value& confusion = to["confusion"] = Value::list();
  for (std::size_t truth = 0; truth < classes; ++truth) {
    Value row = Value::list();
    for (std::size_t p = 0; p < classes; ++p) row.push(number(cells[truth * classes + p]));
    confusion.push(std::move(row));
  }
}

Value to_value(const metrics::Metrics& m, const std::vector<std::string>& classes) {
  const auto [low, high] = metrics::wilson_interval(m.accuracy, m.n);
  Value v = Value::map();
  v["n"] = static_cast<std::int64_t>(m.n);
  v["accuracy"] = m.accuracy;
  v["balanced_accuracy"] = m.balanced_accuracy;
  v["macro_f1"] = m.macro_f1;
  v["log_loss"] = m.log_loss;
  v["ece"] = m.ece;
  v["brier"] = m.brier;
  v["accuracy_interval"] = Value::List{low, high};
  add_confusion(m, v);
  Value per_class = Value::list();
  for (std::size_t c = 0; c < classes.size(); ++c) {
    Value k = Value::map();
    k["class"] = classes[c];
    k["support"] = static_cast<std::int64_t>(m.per_class[c].support);
    k["predicted"] = static_cast<std::int64_t>(m.per_class[c].predicted);
    k["precision"] = m.per_class[c].precision;
    k["recall"] = m.per_class[c].recall;
    k["f1"] = m.per_class[c].f1;
    per_class.push(std::move(k));
  }
  v["per_class"] = std::move(per_class);
  return v;
}

Value to_value(const metrics::MultiLabelMetrics& m, const std::vector<std::string>& classes) {
  Value v = Value::map();
  v["n"] = static_cast<std::int64_t>(m.n);
  v["accuracy"] = m.accuracy;
  v["hamming_loss"] = m.hamming_loss;
  v["micro_f1"] = m.micro_f1;
  v["macro_f1"] = m.macro_f1;
  v["mean_average_precision"] = m.mean_average_precision;
  v["log_loss"] = m.log_loss;
  v["brier"] = m.brier;
  Value per_class = Value::list();
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const metrics::LabelMetrics& of = m.per_class[c];
    Value k = Value::map();
    k["class"] = classes[c];
    k["support"] = static_cast<std::int64_t>(of.support);
    k["predicted"] = static_cast<std::int64_t>(of.predicted);
    k["precision"] = of.precision;
    k["recall"] = of.recall;
    k["f1"] = of.f1;
    k["average_precision"] = of.average_precision;
    per_class.push(std::move(k));
  }
  v["per_class"] = std::move(per_class);
  return v;
}

class Evaluate final : public Report {
 public:
  explicit Evaluate(const StageContext& context)
      : confusion_up_to_(context.params.get<std::size_t>("confusion_up_to")) {}

  ReportOutput report(const ReportInput& input) override {
    ReportOutput out;
    std::vector<LearnerMetrics> single;
    std::vector<MultiLabelLearner> multi;
    for (const Predictions& p : input.predictions) {
      Value& entry = out.learners[p.learner] = Value::map();
      const auto evaluate = [&](auto& metrics, auto measure_rows) {
        const metrics::Labelled val = metrics::labelled(p, p.val, "val"),
                                test = metrics::labelled(p, p.test, "test");
        if (!val.rows.empty()) metrics.val = measure_rows(val);
        if (!test.rows.empty()) metrics.test = measure_rows(test);
        if (metrics.val) entry["val"] = to_value(*metrics.val, p.classes);
        if (metrics.test) entry["test"] = to_value(*metrics.test, p.classes);
      };
      if (p.multi_label) {
        multi.push_back({p.learner, {}, {}});
        evaluate(multi.back(), [](const metrics::Labelled& rows) {
          return metrics::measure_multi_label(rows.scores, rows.labels);
        });
      } else {
        single.push_back({p.learner, p.classes, {}, {}});
        evaluate(single.back(), [](const metrics::Labelled& rows) {
          return metrics::measure(rows.scores, rows.first_labels());
        });
      }
    }
    if (!single.empty()) out.text = text_report(single, confusion_up_to_);
    if (!multi.empty()) out.text += text_report(multi);
    return out;
  }

 private:
  std::size_t confusion_up_to_;
};

constexpr const char* kExample = R"(name: evaluate
stages:
  images: {plugin: synthetic}
  features:
    plugin: backbone
    from: images
    with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  knn: {plugin: knn, from: table}
  report: {plugin: evaluate, from: [probe, knn], with: {confusion_up_to: 12}}
)";

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(evaluate, "1.1.0", graft::Evaluate,
             graft::PluginSchema::report(
                 "Accuracy, balanced accuracy, macro F1, log loss, calibration error and confusion "
                 "matrix of learners, on val and test.")
                 .input(graft::PortType::Predictor, "Learners to compare.", true)
                 .param(graft::integer("confusion_up_to", 4)
                            .range(0, 50)
                            .unit("classes")
                            .not_in_fingerprint()
                            .doc("Confusion matrices are printed for learners of at most this many classes; "
                                 "results.json has every one."))
                 .example(graft::kExample))
