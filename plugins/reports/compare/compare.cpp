#include <graft/plugin.h>

#include <metrics/figures.h>

#include "text.h"

namespace graft {
namespace {

class Compare final : public Report {
 public:
  explicit Compare(const StageContext& context) {
    const Params& p = context.params;
    on_test_ = p.get<bool>("on_test");
    if (p.has("cv")) options_.folds = p.get<std::size_t>("cv");
    options_.repeats = p.get<std::size_t>("repeats");
    for (const Value& v : p.raw("shots").as_list())
      options_.shots.push_back(v.is_string() ? std::nullopt
                                             : std::optional(static_cast<std::size_t>(v.as_int())));
    options_.draws = p.get<std::size_t>("draws");
    options_.val_share = p.get<double>("val_fraction");
    options_.confidence = p.get<double>("confidence");
    options_.resamples = p.get<std::size_t>("resamples");
    options_.seed = context.seed;
    options_.warn = context.warn;
    if (options_.folds == 1)
      throw Error("cv: 1 fold leaves nothing to train on; use 0 (none), or at least 2");
  }

  ReportOutput report(const ReportInput& input) override {
    const std::vector<Predictions>& all = input.predictions;
    for (const Predictions& p : all)
      if (p.classes != all[0].classes || p.multi_label != all[0].multi_label)
        throw Error("'" + all[0].learner + "' and '" + p.learner +
                    "' have other classes: only learners of one source can be compared");
    Comparison c;
    c.options = options_;
    c.multi_label = all[0].multi_label;
    c.against = all[0].learner;
    if (on_test_) c.test = differences(input);
    if (options_.folds > 0) c.folds = cross_validate(input, options_);
    if (!options_.shots.empty()) c.curves = learning_curves(input, options_);
    ReportOutput out;
    out.text = to_text(c, input.columns);
    out.facts = to_value(c);
    out.files = to_files(c);
    return out;
  }

 private:
  /// On test, by the predictions that the run has made anyway.
  std::vector<Comparison::Difference> differences(const ReportInput& input) const {
    std::vector<Comparison::Difference> out;
    const Figures base = figures(input.predictions[0], input.predictions[0].test, "test");
    for (std::size_t l = 1; l < input.predictions.size(); ++l) {
      const Figures own = figures(input.predictions[l], input.predictions[l].test, "test");
      if (const auto paired = metrics::paired_difference({own.keys, own.correct}, {base.keys, base.correct},
                                                         options_.confidence, options_.resamples,
                                                         options_.seed, input.parallel))
        out.push_back({input.predictions[l].learner, paired->n, paired->accuracy});
    }
    return out;
  }

  bool on_test_ = true;
  StudyOptions options_;
};

constexpr const char* kExample = R"(name: compare
stages:
  images: {plugin: synthetic}
  features:
    plugin: backbone
    from: images
    with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table, with: {c: [0.1, 1]}}
  knn: {plugin: knn, from: table}
  report: {plugin: evaluate, from: [probe, knn]}
  comparison: {plugin: compare, from: [probe, knn], with: {cv: 5, shots: [1, 4, all]}}
)";

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(
    compare, "1.0.1", graft::Compare,
    graft::PluginSchema::report(
        "Which learner is better, and is it sure? Paired differences, cross-validation, learning curves over "
        "the number of labelled inputs.")
        .input(graft::PortType::Predictor, "Learners of one source; the others are compared with the first.",
               true)
        .param(graft::flag("on_test", true)
                   .doc("Differences of accuracy on test, by the predictions that the run has made anyway."))
        .param(graft::integer("cv").range(2, 100).unit("folds").optional().doc(
            "Stratified cross-validation over train and val; default: none."))
        .param(graft::integer("repeats", 1).range(1, 100).doc("How often the inputs are assigned to folds."))
        .param(
            graft::list("shots", graft::integer("shots").range(1, 1e6).or_name({"all"}))
                .items(0, 100)
                .default_list({})
                .unit("inputs of each class")
                .doc(
                    "Points of the learning curves: each learner is trained on this many and scored on test; "
                    "all is the run's own result."))
        .param(graft::integer("draws", 5)
                   .range(1, 1000)
                   .doc("Times that the inputs of a point are drawn; scores are means."))
        .param(
            graft::number("val_fraction", 0.2)
                .range(0, 0.9)
                .doc("Fraction of a trial's inputs on which its learner chooses; it is then refit on all of "
                     "them."))
        .param(graft::number("confidence", 0.95).range(0.5, 0.999).doc("Of the intervals of differences."))
        .param(graft::integer("resamples", 2000)
                   .range(graft::metrics::kFewestResamples, 1e6)
                   .doc("Bootstrap samples for an interval."))
        .example(graft::kExample))
