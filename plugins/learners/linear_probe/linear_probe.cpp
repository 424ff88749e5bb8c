#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <graft/plugin.h>

#include <learning/learning.h>
#include <linear/linear_model.h>
#include <linear/softmax_regression.h>
#include "survey.h"

namespace graft {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
/// A fit that cannot be shown to be within this fraction of its minimum is warned about.
constexpr double kPoorGap = 0.01;

/// A solution for one value of c.
struct Candidate {
  double c = 0;
  std::vector<double> solution;
  std::vector<std::int32_t> fitted;
  linear::LinearModel model;
};

struct Outcome {
  numeric::LbfgsResult result;
  metrics::Fit train;
};

class LinearProbe final : public Learner {
 public:
  explicit LinearProbe(const StageContext& context)
      : grid_(context.params.get<std::vector<double>>("c")),
        scale_(learning::RowScaler::kind_from(context.params.get<std::string>("scale"))),
        loss_(linear::loss_from(context.params.get<std::string>("loss"))),
        weights_(context.params.get<std::string>("class_weights") == "balanced"
                     ? linear::ClassWeights::Balanced
                     : linear::ClassWeights::None),
        max_iterations_(context.params.get<int>("max_iterations")),
        tolerance_(context.params.get<double>("tolerance")),
        gradient_tolerance_(context.params.get<double>("gradient_tolerance")),
        cache_bytes_(context.params.get<std::size_t>("cache") * kMiB),
        warn_(context.warn) {
    std::sort(grid_.begin(), grid_.end());
    grid_.erase(std::unique(grid_.begin(), grid_.end()), grid_.end());
  }

  LearnerResult fit(const LearnerInput& input) override {
    const TrainingTable& table = input.tables.at(0);
    LearnerResult out;
    Candidate chosen = choose(table, input, out);
    if (table.val->rows() == 0) {  // train + val is train: the model stands
      out.predictor = std::make_unique<linear::LinearPredictor>(std::move(chosen.model), chosen.c);
      return out;
    }
    out.val = linear::LinearPredictor(std::move(chosen.model), chosen.c).predict({table.val}, input.parallel);

    learning::FeatureRows rows = read(*table.train_val, input);
    const learning::RowScaler scaler = learning::fit_scaler(scale_, rows, input.parallel);
    linear::SoftmaxRegression regression(rows, input.classes.size(), input.parallel, options(input));
    if (regression.fitted() != chosen.fitted) chosen.solution.assign(regression.size(), 0);
    Outcome outcome;
    outcome.result = regression.fit(chosen.c, chosen.solution);
    tell_if_unfinished(chosen.c, outcome.result);
    linear::LinearModel model = regression.model(chosen.solution, scaler);
    outcome.train = linear::measure(model, rows, input.parallel);
    out.summary["refit"] = describe(regression, chosen.c, outcome, {});
    out.summary["refit"]["rows"] = static_cast<std::int64_t>(rows.rows());
    out.predictor = std::make_unique<linear::LinearPredictor>(std::move(model), chosen.c);
    return out;
  }

  std::unique_ptr<Predictor> load(const Bundle& bundle) const override {
    return linear::LinearPredictor::load(bundle);
  }

 private:
  learning::FeatureRows read(const RowSet& rows, const LearnerInput& input) const {
    return {rows, input.classes.size(), cache_bytes_, input.parallel,
            input.multi_label ? learning::Labels::Several : learning::Labels::One};
  }

  linear::RegressionOptions options(const LearnerInput& input) const {
    return {tolerance_,         max_iterations_,
            &input.interrupted, input.multi_label ? linear::Loss::Independent : loss_,
            weights_,           gradient_tolerance_};
  }

  /// Follows the path from strong to weak regularisation on the train rows and keeps what is best on val.
  Candidate choose(const TrainingTable& table, const LearnerInput& input, LearnerResult& out) const {
    const std::size_t classes = input.classes.size();
    learning::FeatureRows train = read(*table.train, input);
    learning::FeatureRows val = read(*table.val, input);
    const std::vector<double> grid = val.rows() > 0 ? grid_ : std::vector<double>{without_val(table)};
    check_rows(table, train, input.classes);
    const std::size_t constant = tell_about_features(table, train, input.parallel);
    const learning::RowScaler scaler = learning::fit_scaler(scale_, train, input.parallel);
    val.scale(scaler, input.parallel);
    linear::SoftmaxRegression regression(train, classes, input.parallel, options(input));
    tell_about_classes(train, val, input);

    Candidate best;
    std::optional<metrics::Fit> best_fit;
    Value path = Value::list();
    std::vector<double> solution(regression.size());
    for (const double c : grid) {
      Outcome outcome;
      outcome.result = regression.fit(c, solution);
      tell_if_unfinished(c, outcome.result);
      linear::LinearModel model = regression.model(solution, scaler);
      outcome.train = linear::measure(model, train, input.parallel);
      std::optional<metrics::Fit> fit;
      if (val.rows() > 0) fit = linear::measure(model, val, input.parallel);
      path.push(describe(regression, c, outcome, fit));
      if (!best_fit || better(*fit, *best_fit, input.multi_label)) {
        best = {c, solution, regression.fitted(), std::move(model)};
        best_fit = fit ? fit : metrics::Fit{};
      }
    }
    out.summary["c"] = best.c;
    out.summary["chosen_on"] = val.rows() == 0 ? "nothing" : grid.size() == 1 ? "given" : "val";
    out.summary["scale"] = scaler.name();
    const linear::Loss loss = options(input).loss;
    out.summary["loss"] =
        linear::outputs_for(regression.fitted().size(), loss) == 1 && loss != linear::Loss::Independent
            ? "binary"
            : linear::loss_names()[static_cast<std::size_t>(loss)];
    out.summary["class_weights"] = weights_ == linear::ClassWeights::Balanced ? "balanced" : "none";
    out.summary["constant_features"] = static_cast<std::int64_t>(constant);
    out.summary["train_rows"] = static_cast<std::int64_t>(train.rows());
    out.summary["val_rows"] = static_cast<std::int64_t>(val.rows());
    out.summary["path"] = std::move(path);
    return best;
  }

  /// Strictly, so that ties go to the first, most strongly regularised one.
  static bool better(const metrics::Fit& a, const metrics::Fit& b, bool multi_label) {
    if (multi_label || a.accuracy == b.accuracy) return a.log_loss < b.log_loss;
    return a.accuracy > b.accuracy;
  }

  double without_val(const TrainingTable& table) const {
    const double c = *std::min_element(grid_.begin(), grid_.end(), [](double a, double b) {
      return std::abs(std::log(a)) < std::abs(std::log(b));
    });
    if (grid_.size() > 1) {
      warn_(fmt::format(
          "table '{}' has no labelled val rows to choose c on: taking {}, the value of the list that is "
          "nearest to 1; give the source a val split, or set c to one value",
          table.stage, c));
    }
    return c;
  }

  static void check_rows(const TrainingTable& table, const learning::FeatureRows& train,
                         const std::vector<std::string>& classes) {
    const std::vector<std::size_t> counts = counts_of(train, classes.size());
    const auto shown = static_cast<std::size_t>(
        std::count_if(counts.begin(), counts.end(), [](std::size_t n) { return n > 0; }));
    if (train.row_labels() == learning::Labels::One) {
      if (shown >= 2) return;
      throw Error(fmt::format(
          "table '{}' has train rows of {} of its {} classes: expected at least 2 classes to tell "
          "apart; check the labels, the splits and the rejected inputs",
          table.stage, shown, classes.size()));
    }
    if (std::any_of(counts.begin(), counts.end(), [&](std::size_t n) { return n > 0 && n < train.rows(); }))
      return;
    throw Error(
        fmt::format("table '{}': each of its {} classes is on all of the {} labelled train rows or on none: "
                    "expected a class to tell apart; check the labels, the splits and the rejected inputs",
                    table.stage, classes.size(), train.rows()));
  }

  static std::vector<std::size_t> counts_of(const learning::FeatureRows& rows, std::size_t classes) {
    std::vector<std::size_t> counts(classes);
    for (const std::int32_t label : rows.labels()) ++counts[static_cast<std::size_t>(label)];
    return counts;
  }

  void tell_about_classes(const learning::FeatureRows& train, const learning::FeatureRows& val,
                          const LearnerInput& input) const {
    if (const std::string absent = learning::absent_classes(train.labels(), input.classes); !absent.empty()) {
      warn_(fmt::format("no train rows of {}: the score of such a class is 0", absent));
    }
    const std::vector<std::size_t> counts = counts_of(train, input.classes.size());
    for (std::size_t c = 0; input.multi_label && c < counts.size(); ++c) {
      if (counts[c] < train.rows()) continue;
      warn_(
          fmt::format("all train rows are of {}: its score is near 1 whatever the input", input.classes[c]));
    }
    if (val.rows() == 0 || grid_.size() == 1) return;
    if (const std::string absent = learning::absent_classes(val.labels(), input.classes); !absent.empty()) {
      warn_(fmt::format("no val rows of {}: c is chosen without such a class", absent));
    }
  }

  /// Returns the number of features that are the same in all rows.
  std::size_t tell_about_features(const TrainingTable& table, const learning::FeatureRows& train,
                                  Parallel& parallel) const {
    const Survey survey = survey_of(train, parallel);
    if (survey.constant == train.dim()) {
      warn_(
          fmt::format("table '{}': all {} features are the same in all train rows: every input gets the "
                      "shares of the classes as its scores; check the backbone and its normalisation",
                      table.stage, train.dim()));
    }
    if (survey.zero_rows > 0 && scale_ == learning::RowScaler::Kind::L2) {
      warn_(fmt::format(
          "table '{}': {} train rows have zeros only; they have no direction, and scale: l2 leaves "
          "them as they are",
          table.stage, survey.zero_rows));
    }
    return survey.constant;
  }

  void tell_if_unfinished(double c, const numeric::LbfgsResult& result) const {
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

  static Value describe(const linear::SoftmaxRegression& regression, double c, const Outcome& outcome,
                        const std::optional<metrics::Fit>& val) {
    Value v = Value::map();
    v["c"] = c;
    v["objective"] = outcome.result.objective;
    v["gradient"] = outcome.result.gradient_max;
    const double scale = regression.gradient_scale(c);
    v["relative_gradient"] = scale > 0 ? outcome.result.gradient_max / scale : 0;
    v["iterations"] = outcome.result.iterations;
    v["stop"] = numeric::to_string(outcome.result.stop);
    v["train_accuracy"] = outcome.train.accuracy;
    v["train_log_loss"] = outcome.train.log_loss;
    if (val) {
      v["val_accuracy"] = val->accuracy;
      v["val_log_loss"] = val->log_loss;
    }
    return v;
  }

  std::vector<double> grid_;
  learning::RowScaler::Kind scale_;
  linear::Loss loss_;
  linear::ClassWeights weights_;
  int max_iterations_;
  double tolerance_, gradient_tolerance_;
  std::size_t cache_bytes_;
  std::function<void(const std::string&)> warn_;
};

Value::List default_grid() {
  return {1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2, 3.16e-2, 0.1, 0.316, 1.0, 3.16, 10.0, 31.6, 100.0};
}

constexpr const char* kExample = R"(name: linear_probe
stages:
  images: {plugin: synthetic}
  features:
    plugin: backbone
    from: images
    with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table, with: {c: [0.01, 0.1, 1, 10]}}
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
                        "more strongly "
                        "regularised. Of several, the one with the best accuracy on val is taken (then the "
                        "lowest log loss, then the smallest); with several labels per row, that with the "
                        "lowest log loss."))
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
        .param(graft::integer("cache", 1024)
                   .range(0, 1 << 20)
                   .unit("MiB")
                   .neutral()
                   .doc("A table of at most this size is held in memory; a larger one is read again at every "
                        "iteration."))
        .example(graft::kExample))
