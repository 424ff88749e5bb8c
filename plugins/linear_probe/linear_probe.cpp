#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <graft/plugin.h>

#include "linalg/learning.h"
#include "linear/linear_model.h"
#include "linear/softmax_regression.h"

namespace graft {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr double kPoorGradient =
    1e-2;  // a fit that ends above this share of the first gradient is no optimum

/// A solution for one value of c.
struct Candidate {
  double c = 0;
  std::vector<double> solution;
  std::vector<std::int32_t> fitted;
  LinearModel model;
};

struct Outcome {
  linalg::LbfgsResult result;
  Fit train;
};

class LinearProbe final : public Learner {
 public:
  explicit LinearProbe(const StageContext& context)
      : grid_(context.params.get<std::vector<double>>("c")),
        scale_(linalg::RowScaler::kind_from(context.params.get<std::string>("scale"))),
        max_iterations_(context.params.get<int>("max_iterations")),
        tolerance_(context.params.get<double>("tolerance")),
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
      out.predictor = std::make_unique<LinearPredictor>(std::move(chosen.model), chosen.c);
      return out;
    }
    out.val = LinearPredictor(std::move(chosen.model), chosen.c).predict({table.val}, input.parallel);

    linalg::FeatureRows rows(*table.train_val, input.classes.size(), cache_bytes_, input.parallel);
    const linalg::RowScaler scaler = linalg::fit_scaler(scale_, rows, input.parallel);
    SoftmaxRegression regression(rows, input.classes.size(), input.parallel, options(input));
    if (regression.fitted() != chosen.fitted) chosen.solution.assign(regression.size(), 0);
    Outcome outcome;
    outcome.result = regression.fit(chosen.c, chosen.solution);
    tell_if_unfinished(regression, chosen.c, outcome.result);
    LinearModel model = regression.model(chosen.solution, scaler);
    outcome.train = measure(model, rows, input.parallel);
    out.summary["refit"] = describe(chosen.c, outcome, {});
    out.summary["refit"]["rows"] = static_cast<std::int64_t>(rows.rows());
    out.predictor = std::make_unique<LinearPredictor>(std::move(model), chosen.c);
    return out;
  }

  std::unique_ptr<Predictor> load(const Bundle& bundle) const override {
    return LinearPredictor::load(bundle);
  }

 private:
  RegressionOptions options(const LearnerInput& input) const {
    return {tolerance_, max_iterations_, &input.interrupted};
  }

  /// Follows the path from strong to weak regularisation on the train rows and keeps what is best on val.
  Candidate choose(const TrainingTable& table, const LearnerInput& input, LearnerResult& out) const {
    const std::size_t classes = input.classes.size();
    linalg::FeatureRows train(*table.train, classes, cache_bytes_, input.parallel);
    linalg::FeatureRows val(*table.val, classes, cache_bytes_, input.parallel);
    linalg::tell_unlabelled(train, table.stage, "train", warn_);
    linalg::tell_unlabelled(val, table.stage, "val", warn_);
    linalg::classes_to_learn(train, input.classes, table.stage, linalg::Labels::One, warn_);
    const std::vector<double> grid = val.rows() > 0 ? grid_ : std::vector<double>{without_val(table)};
    const linalg::RowScaler scaler = linalg::fit_scaler(scale_, train, input.parallel);
    val.scale(scaler, input.parallel);
    SoftmaxRegression regression(train, classes, input.parallel, options(input));

    Candidate best;
    std::optional<Fit> best_fit;
    Value path = Value::list();
    std::vector<double> solution(regression.size());
    for (const double c : grid) {
      Outcome outcome;
      outcome.result = regression.fit(c, solution);
      tell_if_unfinished(regression, c, outcome.result);
      LinearModel model = regression.model(solution, scaler);
      outcome.train = measure(model, train, input.parallel);
      std::optional<Fit> fit;
      if (val.rows() > 0) fit = measure(model, val, input.parallel);
      path.push(describe(c, outcome, fit));
      if (!best_fit || better(*fit, *best_fit)) {
        best = {c, solution, regression.fitted(), std::move(model)};
        best_fit = fit ? fit : Fit{};
      }
    }
    out.summary["c"] = best.c;
    out.summary["chosen_on"] = val.rows() == 0 ? "nothing" : grid.size() == 1 ? "given" : "val";
    out.summary["scale"] = scaler.name();
    out.summary["loss"] = LinearModel::outputs_for(regression.fitted().size()) == 1 ? "binary" : "softmax";
    out.summary["train_rows"] = static_cast<std::int64_t>(train.rows());
    out.summary["val_rows"] = static_cast<std::int64_t>(val.rows());
    out.summary["path"] = std::move(path);
    return best;
  }

  /// Strictly, so that of equals the first, most strongly regularised one stays.
  static bool better(const Fit& a, const Fit& b) {
    return a.accuracy != b.accuracy ? a.accuracy > b.accuracy : a.log_loss < b.log_loss;
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

  void tell_if_unfinished(const SoftmaxRegression& regression, double c,
                          const linalg::LbfgsResult& result) const {
    if (result.stop == linalg::LbfgsStop::MaxIterations) {
      warn_(
          fmt::format("c = {} did not converge in {} iterations: raise max_iterations, or scale the features "
                      "(scale: standard)",
                      c, result.iterations));
    } else if (result.gradient_max > kPoorGradient * regression.gradient_scale(c)) {
      warn_(fmt::format(
          "c = {} stopped after {} iterations where float32 features allow no further progress: scale "
          "them (scale: standard)",
          c, result.iterations));
    }
  }

  static Value describe(double c, const Outcome& outcome, const std::optional<Fit>& val) {
    Value v = Value::map();
    v["c"] = c;
    v["objective"] = outcome.result.objective;
    v["iterations"] = outcome.result.iterations;
    v["stop"] = linalg::to_string(outcome.result.stop);
    v["train_accuracy"] = outcome.train.accuracy;
    v["train_log_loss"] = outcome.train.log_loss;
    if (val) {
      v["val_accuracy"] = val->accuracy;
      v["val_log_loss"] = val->log_loss;
    }
    return v;
  }

  std::vector<double> grid_;
  linalg::RowScaler::Kind scale_;
  int max_iterations_;
  double tolerance_;
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
    plugin: torch_backbone
    from: images
    with: {model: "${GRAFT_SHARE}/quickstart_backbone.safetensors"}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table, with: {c: [0.01, 0.1, 1, 10]}}
  report: {plugin: evaluate, from: probe}
)";

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(
    linear_probe, "1.0.0", graft::LinearProbe,
    graft::PluginSchema::learner(
        "Logistic regression on feature vectors; its strength of regularisation is chosen on "
        "val, then it is refit on train and val.")
        .input(graft::PortType::Table, "Feature vectors with one label a row.")
        .output("out", graft::PortType::Predictor, "f32[?]",
                "Class probabilities; 0 for a class without train rows.")
        .param(graft::list("c", graft::number("c").range(1e-9, 1e9))
                   .or_scalar()
                   .items(1, 100)
                   .default_list(graft::default_grid())
                   .doc("Weights of the data against the penalty 0.5 |W|^2, as in scikit-learn: smaller is "
                        "more strongly "
                        "regularised. Of several, the one with the best accuracy on val is taken (then the "
                        "lowest log "
                        "loss, then the smallest)."))
        .param(
            graft::choice("scale", {"none", "l2", "standard"}, "none")
                .doc("Scaling of the features: none, rows to length 1, or columns to mean 0 and variance 1."))
        .param(graft::number("tolerance", 1e-6)
                   .range(1e-12, 0.1)
                   .doc("A fit has converged when its objective is within this share of the minimum, by the "
                        "bound that "
                        "the penalty gives."))
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
