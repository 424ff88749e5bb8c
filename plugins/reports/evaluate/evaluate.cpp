#include <graft/plugin.h>

#include <metrics/figures.h>
#include <metrics/labelled.h>
#include "text_report.h"

namespace graft {
namespace {

/// Of more classes, results.json has the cells that have rows: the whole matrix is quadratic in the classes.
constexpr std::size_t kWholeConfusion = 100;

Value number(std::size_t n) {
  return Value(static_cast<std::int64_t>(n));
}

void add_confusion(const std::vector<metrics::ConfusionCell>& cells, std::size_t classes, Value& to) {
  if (classes > kWholeConfusion) {
    Value& pairs = to["confusion_pairs"] = Value::list();
    for (const metrics::ConfusionCell& cell : cells)
      pairs.push(Value::List{number(cell.truth), number(cell.predicted), number(cell.rows)});
    return;
  }
  const std::vector<std::size_t> whole = metrics::dense(cells, classes);
  Value& confusion = to["confusion"] = Value::list();
  for (std::size_t truth = 0; truth < classes; ++truth) {
    Value row = Value::list();
    for (std::size_t p = 0; p < classes; ++p) row.push(number(whole[truth * classes + p]));
    confusion.push(std::move(row));
  }
}

Value per_class(const metrics::Sample& sample, const std::vector<std::string>& classes) {
  const std::vector<metrics::ClassRanking>& rankings = sample.per_class_ranking();
  Value out = Value::list();
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const metrics::ClassCounts& of = sample.per_class()[c];
    const metrics::ClassRanking& ranking = rankings[c];
    Value k = Value::map();
    k["class"] = classes[c];
    k["support"] = number(of.support);
    k["predicted"] = number(of.predicted);
    k["precision"] = of.precision();
    k["recall"] = of.recall();
    k["f1"] = of.f1();
    k["average_precision"] = of.support > 0 ? Value(ranking.average_precision) : Value();
    k["roc_auc"] = ranking.has_both ? Value(ranking.roc_auc) : Value();
    out.push(std::move(k));
  }
  return out;
}

Value calibration(const metrics::Sample& sample) {
  Value out = Value::list();
  for (const metrics::CalibrationBin& bin : metrics::calibration_bins(sample)) {
    Value v = Value::map();
    v["rows"] = number(bin.rows);
    const auto rows = static_cast<double>(bin.rows);
    v["confidence"] = bin.rows > 0 ? Value(bin.confidence / rows) : Value();
    v["accuracy"] = bin.rows > 0 ? Value(static_cast<double>(bin.correct) / rows) : Value();
    out.push(std::move(v));
  }
  return out;
}

class Evaluate final : public Report {
 public:
  explicit Evaluate(const StageContext& context)
      : confusion_up_to_(context.params.get<std::size_t>("confusion_up_to")),
        options_{context.params.get<std::size_t>("resamples"), context.seed} {}

  ReportOutput report(const ReportInput& input) override {
    ReportOutput out;
    std::vector<LearnerReport> reports;
    for (const Predictions& p : input.predictions) {
      LearnerReport report{p.learner, p.classes, metrics::label_mode(p.multi_label), {}, {}};
      out.learners[p.learner] = Value::map();
      report.val = evaluate(p, p.val, Split::Val, input, out);
      report.test = evaluate(p, p.test, Split::Test, input, out);
      reports.push_back(std::move(report));
    }
    out.text = text_report(reports, confusion_up_to_, input.columns);
    return out;
  }

 private:
  std::optional<PartReport> evaluate(const Predictions& of, const Predictions::Part& part, Split split,
                                     const ReportInput& input, ReportOutput& out) const {
    metrics::Labelled rows = metrics::labelled(of, part, to_string(split));
    if (rows.rows.empty()) return {};
    metrics::ScoredRows scored(std::move(rows), metrics::label_mode(of.multi_label));
    PartReport report;
    report.figures = metrics::figures_of(of.learner, split, scored, options_, input.parallel);
    out.figures.insert(out.figures.end(), report.figures.begin(), report.figures.end());
    const metrics::Sample sample(scored);
    report.per_class = sample.per_class();
    Value& details = out.learners[of.learner][to_string(split)] = Value::map();
    if (!of.multi_label) {
      report.confusion = metrics::confusion(scored);
      add_confusion(report.confusion, of.classes.size(), details);
    }
    details["per_class"] = per_class(sample, of.classes);
    if (!of.multi_label) details["calibration"] = calibration(sample);
    return report;
  }

  std::size_t confusion_up_to_;
  metrics::FigureOptions options_;
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

GRAFT_PLUGIN(
    evaluate, "1.2.0", graft::Evaluate,
    graft::PluginSchema::report(
        "Accuracy, F1, areas under curves, log loss, calibration error, confusion matrix and more of "
        "learners, on val and test, with intervals.")
        .input(graft::PortType::Predictor, "Learners to compare.", true)
        .param(graft::integer("confusion_up_to", 4)
                   .range(0, 50)
                   .unit("classes")
                   .not_in_fingerprint()
                   .doc("Confusion matrices are printed for learners of at most this many classes, else the "
                        "worst classes and pairs of them; 0: neither. results.json has all of them."))
        .param(graft::integer("resamples", 1000)
                   .range(0, 1e6)
                   .not_in_fingerprint()
                   .doc("Bootstrap samples for a 95 % interval; 0: only the interval of "
                        "accuracy, which needs none."))
        .figures_from(graft::metrics::figure_specs())
        .example(graft::kExample))
