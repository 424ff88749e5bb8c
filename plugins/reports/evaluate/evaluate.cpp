#include <fmt/format.h>

#include <graft/plugin.h>

#include <metrics/figures.h>
#include <metrics/labelled.h>
#include "tables.h"
#include "text_report.h"

namespace graft {
namespace {

class Evaluate final : public Report {
 public:
  explicit Evaluate(const StageContext& context)
      : confusion_up_to_(context.params.get<std::size_t>("confusion_up_to")),
        options_{context.params.get<std::size_t>("resamples"), context.seed} {}

  static Inspection inspect(const StageContext& context) {
    const auto resamples = context.params.get<std::size_t>("resamples");
    if (resamples == 0 || resamples >= metrics::kFewestResamples) return {};
    Inspection out;
    out.faults.push_back(
        {"resamples",
         fmt::format("expected 0 for no intervals but those of accuracy, or at least {}, got {}: fewer "
                     "samples are too few for a 95 % interval",
                     metrics::kFewestResamples, resamples)});
    return out;
  }

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
    const std::vector<PairedReport> paired = paired_on_test(reports, input.parallel);
    out.facts = to_value(paired);
    out.files = csv_files(reports, paired);
    out.text = text_report(reports, confusion_up_to_, input.columns);
    return out;
  }

 private:
  std::optional<PartReport> evaluate(const Predictions& of, const Predictions::Part& part, Split split,
                                     const ReportInput& input, ReportOutput& out) const {
    metrics::Labelled rows = metrics::labelled(of, part, to_string(split));
    if (rows.rows.empty()) return {};
    const std::vector<std::size_t> positions = rows.rows;
    metrics::ScoredRows scored(std::move(rows), metrics::label_mode(of.multi_label));
    PartReport report;
    report.figures = metrics::figures_of(of.learner, split, scored, options_, input.parallel);
    out.figures.insert(out.figures.end(), report.figures.begin(), report.figures.end());
    if (!scored.has_decisions()) return report;
    const metrics::Sample sample(scored);
    report.per_class = sample.per_class();
    report.rankings = sample.per_class_ranking();
    if (split == Split::Test) {  // what paired_on_test compares
      for (const std::size_t r : positions) report.keys.push_back(part.keys[r]);
      for (std::size_t r = 0; r < scored.rows(); ++r) report.correct.push_back(scored.score(r).accuracy);
    }
    if (!of.multi_label) {
      report.confusion = metrics::confusion(scored);
      if (scored.improper().empty()) report.calibration = metrics::calibration_bins(sample);
    }
    out.learners[of.learner][to_string(split)] = details_of(report, of.classes, scored.mode());
    return report;
  }

  /// The learner that val chooses against each of the others of its kind.
  std::vector<PairedReport> paired_on_test(const std::vector<LearnerReport>& all, Parallel& parallel) const {
    std::vector<PairedReport> out;
    for (const auto mode : {metrics::LabelMode::Single, metrics::LabelMode::Multi}) {
      const LearnerReport* best = best_of(all, mode);
      if (best == nullptr || !best->test) continue;
      for (const LearnerReport& other : all) {
        if (&other == best || other.mode != mode || !other.test) continue;
        if (const auto difference = metrics::paired_difference(
                {best->test->keys, best->test->correct}, {other.test->keys, other.test->correct}, 0.95,
                metrics::kPairedResamples, options_.seed, parallel))
          out.push_back({best->learner, other.learner, *difference});
      }
    }
    return out;
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
                   .doc("Bootstrap samples for a 95 % interval, at least 100; 0: only the interval of "
                        "accuracy, which needs none."))
        .figures_from(graft::metrics::figure_specs())
        .example(graft::kExample))
