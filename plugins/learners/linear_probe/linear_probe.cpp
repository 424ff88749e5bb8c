#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include <graft/plugin.h>

#include <learning/learning.h>
#include <learning/selection.h>
#include <linear/linear_model.h>
#include <linear/softmax_regression.h>

namespace graft {
namespace {

/// A fit that cannot be shown to be within this fraction of its minimum is warned about.
constexpr double kPoorGap = 0.01;

/// One fit, and how it went.
struct Fitted {
  double c = 0;
  numeric::LbfgsResult result;
  double relative_gradient = 0;  ///< As a fraction of that at zero weights.
  linear::LinearModel model;
  metrics::Score train;
};

/// What the refit takes over.
struct Choice {
  double c = 0;
  std::vector<double> solution;
  std::vector<std::int32_t> fitted;
};

class LinearProbe final : public Learner {
 public:
  explicit LinearProbe(const StageContext& context)
      : grid_(learning::ascending(context.params.get<std::vector<double>>("c"))),
        scale_(learning::RowScaler::kind_from(context.params.get<std::string>("scale"))),
        loss_(linear::loss_from(context.params.get<std::string>("loss"))),
        weights_(context.params.get<std::string>("class_weights") == "balanced"
                     ? linear::ClassWeights::Balanced
                     : linear::ClassWeights::None),
        max_iterations_(context.params.get<int>("max_iterations")),
        tolerance_(context.params.get<double>("tolerance")),
        gradient_tolerance_(context.params.get<double>("gradient_tolerance")),
        cache_bytes_(learning::cache_bytes(context.params)),
        warn_(context.warn) {}

  LearnerResult fit(const LearnerInput& input) override {
    return learning::choose_and_refit(
        input, [&](LearnerResult& out) { return choose(input, out); },
        [&](Choice& chosen, Value& summary) { return refit(input, chosen, summary); });
  }

  std::unique_ptr<Predictor> load(const Bundle& bundle) const override {
    return linear::LinearPredictor::load(bundle);
  }

 private:
  learning::FeatureRows read(const RowSet& rows, const LearnerInput& input) const {
    return {rows, input.classes.size(), cache_bytes_, input.parallel, metrics::label_mode(input.multi_label)};
  }

  linear::RegressionOptions options(const LearnerInput& input) const {
    return {tolerance_, max_iterations_, input.multi_label ? linear::Loss::Independent : loss_, weights_,
            gradient_tolerance_};
  }

  /// Follows the path from strong to weak regularisation on the train rows and keeps what is best on val.
  /// Ties go to the first, most strongly regularised one.
  std::optional<Choice> choose(const LearnerInput& input, LearnerResult& out) const {
    const TrainingTable& table = input.tables.at(0);
    learning::FeatureRows train = read(*table.train, input);
    learning::FeatureRows val = read(*table.val, input);
    const bool has_val = val.rows() > 0;
    const std::vector<double> grid = has_val ? grid_ : std::vector<double>{without_val(table)};
    check_classes(table, train, input);
    const std::size_t constant =
        learning::warn_constant_features(train, table.stage, scale_, input.parallel, warn_);
    const learning::RowScaler scaler = learning::fit_scaler(scale_, train, input.parallel);
    val.scale(scaler, input.parallel);
    linear::SoftmaxRegression regression(train, input.classes.size(), input.parallel, options(input));
    if (has_val && grid.size() > 1)
      learning::warn_absent_val_classes(val.labels(), input.classes, "c", warn_);

    learning::CandidateSelection selection(metrics::criterion_for(train.mode()));
    Choice best;
    linear::LinearModel model;
    std::vector<double> solution(regression.size());
    for (const double c : grid) {
      Fitted now = fit_one(regression, c, solution, scaler, train, input.parallel);
      std::optional<metrics::Score> score;
      if (has_val) score = linear::measure(now.model, val, input.parallel);
      const bool is_best = selection.add(describe(now), score);
      input.report_step("candidate", selection.path().as_list().size(), grid.size(),
                        selection.path().as_list().back());
      if (!is_best) continue;
      best = {c, solution, regression.fitted()};
      model = std::move(now.model);
    }
    out.predictor = std::make_unique<linear::LinearPredictor>(std::move(model), best.c);
    out.summary["c"] = best.c;
    out.summary["scale"] = scaler.name();
    const linear::Loss loss = options(input).loss;
    out.summary["loss"] =
        linear::outputs_for(regression.fitted().size(), loss) == 1 && loss != linear::Loss::Independent
            ? "binary"
            : linear::loss_names()[static_cast<std::size_t>(loss)];
    out.summary["class_weights"] = weights_ == linear::ClassWeights::Balanced ? "balanced" : "none";
    out.summary["constant_features"] = static_cast<std::int64_t>(constant);
    learning::describe_choice(learning::chosen_on(has_val, grid.size()), train.rows(), val.rows(),
                              out.summary);
    out.summary["path"] = selection.path();
    return best;
  }

  std::unique_ptr<Predictor> refit(const LearnerInput& input, Choice& chosen, Value& summary) const {
    learning::FeatureRows rows = read(*input.tables.at(0).train_val, input);
    const learning::RowScaler scaler = learning::fit_scaler(scale_, rows, input.parallel);
    linear::SoftmaxRegression regression(rows, input.classes.size(), input.parallel, options(input));
    if (regression.fitted() != chosen.fitted) chosen.solution.assign(regression.size(), 0);
    Fitted all = fit_one(regression, chosen.c, chosen.solution, scaler, rows, input.parallel);
    summary["refit"] = describe(all);
    summary["refit"]["rows"] = static_cast<std::int64_t>(rows.rows());
    return std::make_unique<linear::LinearPredictor>(std::move(all.model), chosen.c);
  }

  /// From `solution`, which becomes that of this c.
  Fitted fit_one(linear::SoftmaxRegression& regression, double c, std::vector<double>& solution,
                 const learning::RowScaler& scaler, const learning::FeatureRows& rows,
                 Parallel& parallel) const {
    Fitted out;
    out.c = c;
    out.result = regression.fit(c, solution);
    warn_unfinished(c, out.result);
    const double scale = regression.gradient_scale(c);
    out.relative_gradient = scale > 0 ? out.result.gradient_max / scale : 0;
    out.model = regression.model(solution, scaler);
    out.train = linear::measure(out.model, rows, parallel);
    return out;
  }

  double without_val(const TrainingTable& table) const {
    const double c = learning::nearest_by_ratio(grid_, 1);
    learning::warn_no_val_rows(table.stage, {{"c", grid_.size(), c, 1}}, warn_);
    return c;
  }

  void check_classes(const TrainingTable& table, const learning::FeatureRows& train,
                     const LearnerInput& input) const {
    const std::size_t classes = input.classes.size();
    learning::classes_to_learn(train, input.classes, table.stage, warn_);
    if (!input.multi_label) return;
    std::vector<std::size_t> counts(classes);
    for (const std::int32_t label : train.labels()) ++counts[static_cast<std::size_t>(label)];
    if (std::none_of(counts.begin(), counts.end(),
                     [&](std::size_t n) { return n > 0 && n < train.rows(); })) {
      throw Error(fmt::format(
          "table '{}': each of its {} classes is on all of the {} labelled train rows or on none: "
          "expected a class to tell apart; check the labels, the splits and the rejected inputs",
          table.stage, classes, train.rows()));
    }
    for (std::size_t c = 0; c < classes; ++c) {
      if (counts[c] < train.rows()) continue;
      warn_(
          fmt::format("all train rows are of {}: its score is near 1 whatever the input", input.classes[c]));
    }
  }

  void warn_unfinished(double c, const numeric::LbfgsResult& result) const {
    if (result.stop == numeric::LbfgsStop::MaxIterations) {
      warn_(
          fmt::format("c = {} did not converge in {} iterations: raise max_iterations, or scale the features "
                      "(scale: standard)",
                      c, result.iterations));
    } else if (result.stop == numeric::LbfgsStop::Precision && result.gap > kPoorGap * result.objective) {
      warn_(
          fmt::format("c = {} stopped after {} iterations where float32 features allow no further progress{}",
                      c, result.iterations,
                      scale_ == learning::RowScaler::Kind::Standard ? "" : ": scale them (scale: standard)"));
    }
  }

  static Value describe(const Fitted& fitted) {
    return Value::Map{{"c", fitted.c},
                      {"objective", fitted.result.objective},
                      {"gradient", fitted.result.gradient_max},
                      {"relative_gradient", fitted.relative_gradient},
                      {"iterations", fitted.result.iterations},
                      {"stop", numeric::to_string(fitted.result.stop)},
                      {"train_accuracy", fitted.train.accuracy},
                      {"train_log_loss", fitted.train.log_loss}};
  }

  std::vector<double> grid_;
  learning::RowScaler::Kind scale_;
  linear::Loss loss_;
  linear::ClassWeights weights_;
  int max_iterations_;
  double tolerance_, gradient_tolerance_;
  std::size_t cache_bytes_;
  learning::Warn warn_;
};

Value::List default_grid() {
  return {1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2, 3.16e-2, 0.1, 0.316, 1.0, 3.16, 10.0, 31.6, 100.0};
}

constexpr const char* kStages = R"(  probe: {plugin: linear_probe, from: table, with: {c: [0.01, 0.1, 1, 10]}}
  report: {plugin: evaluate, from: probe}
)";

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(
    linear_probe, "2.0.3", graft::LinearProbe,
    graft::PluginSchema::learner(
        "Logistic regression on feature vectors; its strength of regularisation is chosen on "
        "val, then it is refit on train and val.")
        .input(graft::PortType::Table, "Feature vectors with labels.")
        .output("out", graft::PortType::Predictor, "f32[?]",
                "Class probabilities; 0 for a class without train rows. They add up to 1 unless inputs have "
                "several labels.")
        .param(graft::list("c", graft::number("c").range(1e-9, 1e9))
                   .or_scalar()
                   .items(1, 100)
                   .default_list(graft::default_grid())
                   .doc("Weights of the data against the penalty 0.5 |W|^2, as in scikit-learn: smaller is "
                        "more strongly regularised. Of several, the one with the best accuracy on val is "
                        "taken (then the lowest log loss, then the smallest); with several labels per row, "
                        "that with the lowest log loss."))
        .param(
            graft::choice("scale", {"none", "l2", "standard"}, "none")
                .doc("Scaling of the features: none, rows to length 1, or columns to mean 0 and variance 1."))
        .param(
            graft::choice("loss", {"softmax", "one_vs_rest"}, "softmax")
                .doc("softmax: multinomial, the classes compete. one_vs_rest: a binary regression of every "
                     "class against all others; scores are then divided by their sum. Rows with several "
                     "labels get a binary regression of every class in any case, and scores as they are."))
        .param(
            graft::choice("class_weights", {"none", "balanced"}, "none")
                .doc("balanced: rows weigh more the rarer their class is, so that all classes have the same "
                     "weight (with binary regressions: both sides of each), as in scikit-learn."))
        .param(graft::number("tolerance", 1e-6)
                   .range(1e-12, 0.1)
                   .doc("A fit has converged when its gradient g proves that the objective f is within this "
                        "fraction of its minimum: |g|^2 / 2 <= tolerance f."))
        .param(graft::number("gradient_tolerance", 0)
                   .range(0, 0.1)
                   .doc("A fit has also converged when the largest element of its gradient is at most this "
                        "fraction of that at zero weights. 0: not used."))
        .param(graft::integer("max_iterations", 1000)
                   .range(1, 1000000)
                   .doc("Limit of L-BFGS iterations of one fit."))
        .param(graft::learning::cache_parameter(
            "A table of at most this size is held in memory; a larger one is read again at every "
            "iteration."))
        .example(graft::learning::config_on_features("linear_probe", graft::kStages)))
