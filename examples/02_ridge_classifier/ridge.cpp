#include <algorithm>
#include <optional>

#include <graft/plugin.h>

#include <learning/bundle.h>
#include <learning/learning.h>
#include <learning/selection.h>
#include <numeric/blas.h>
#include <numeric/softmax.h>

namespace {

using namespace graft;

constexpr std::size_t kCacheBytes = std::size_t{1} << 30;

/// One output per class that has train rows; the scores are the softmax of the outputs.
struct Ridge {
  std::size_t dim = 0, classes = 0;
  std::vector<std::int32_t> fitted;  ///< Class of each output, ascending.
  std::vector<float> weight, bias;   ///< Row-major outputs x dim, outputs.

  void scores(const float* rows, std::size_t count, float* out) const {
    const std::size_t outputs = fitted.size();
    std::vector<float> z(count * outputs);
    numeric::multiply_nt({rows, count, dim}, {weight.data(), outputs, dim}, {z.data(), count, outputs});
    std::fill_n(out, count * classes, 0.0F);
    for (std::size_t r = 0; r < count; ++r) {
      const std::span<float> row(z.data() + r * outputs, outputs);
      for (std::size_t k = 0; k < outputs; ++k) row[k] += bias[k];
      numeric::softmax(row);
      for (std::size_t k = 0; k < outputs; ++k)
        out[r * classes + static_cast<std::size_t>(fitted[k])] = row[k];
    }
  }
};

/// W = Y'X (X'X + alpha I)^-1 on centred rows, with Y +1 for the class and -1 for the others; the bias has no
/// penalty. X'X and Y'X are computed once for all alphas.
class ClosedForm {
 public:
  ClosedForm(const learning::FeatureRows& rows, std::size_t classes, std::vector<std::int32_t> fitted)
      : dim_(rows.dim()),
        classes_(classes),
        fitted_(std::move(fitted)),
        mean_x_(dim_),
        mean_y_(fitted_.size()) {
    const std::size_t n = rows.rows(), outputs = fitted_.size();
    std::vector<float> values(n * dim_);
    rows.read(0, n, values.data());
    std::vector<double> x(values.begin(), values.end()), y(n * outputs);
    for (std::size_t r = 0; r < n; ++r)
      for (std::size_t k = 0; k < outputs; ++k) y[r * outputs + k] = rows.labels()[r] == fitted_[k] ? 1 : -1;
    centre(x, mean_x_);
    centre(y, mean_y_);
    gram_.resize(dim_ * dim_);
    cross_.resize(outputs * dim_);
    numeric::add_gram_lower({x.data(), n, dim_}, {gram_.data(), dim_, dim_});
    numeric::multiply_tn({y.data(), n, outputs}, {x.data(), n, dim_}, {cross_.data(), outputs, dim_});
  }

  Ridge solve(double alpha) const {
    const std::size_t outputs = fitted_.size();
    std::vector<double> factor = gram_, w = cross_;
    for (std::size_t d = 0; d < dim_; ++d) factor[d * dim_ + d] += alpha;
    if (!numeric::cholesky({factor.data(), dim_, dim_}))
      throw Error("the features are too large for alpha: raise alpha, or scale the features");
    numeric::cholesky_solve({factor.data(), dim_, dim_}, {w.data(), outputs, dim_});
    Ridge model{dim_, classes_, fitted_, {w.begin(), w.end()}, {}};
    for (std::size_t k = 0; k < outputs; ++k) {
      double bias = mean_y_[k];
      for (std::size_t d = 0; d < dim_; ++d) bias -= w[k * dim_ + d] * mean_x_[d];
      model.bias.push_back(static_cast<float>(bias));
    }
    return model;
  }

 private:
  static void centre(std::vector<double>& rows, std::vector<double>& mean) {
    const std::size_t width = mean.size(), n = rows.size() / width;
    for (std::size_t i = 0; i < rows.size(); ++i) mean[i % width] += rows[i] / static_cast<double>(n);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] -= mean[i % width];
  }

  std::size_t dim_, classes_;
  std::vector<std::int32_t> fitted_;
  std::vector<double> mean_x_, mean_y_, gram_, cross_;
};

class RidgePredictor final : public Predictor {
 public:
  explicit RidgePredictor(Ridge model) : model_(std::move(model)) {}
  Scores predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const override {
    return learning::score_table(
        learning::only_table(tables, model_.dim), model_.classes, {}, parallel,
        [&](const float* rows, std::size_t count, float* out) { model_.scores(rows, count, out); });
  }
  void save(Bundle& bundle) const override {
    const auto outputs = static_cast<std::int64_t>(model_.fitted.size());
    const auto dim = static_cast<std::int64_t>(model_.dim);
    bundle.facts["classes"] = static_cast<std::int64_t>(model_.classes);
    bundle.facts["outputs"] = outputs;
    bundle.facts["dim"] = dim;
    bundle.tensors["fitted"] = learning::tensor_of(model_.fitted, {outputs});
    bundle.tensors["weight"] = learning::tensor_of(model_.weight, {outputs, dim});
    bundle.tensors["bias"] = learning::tensor_of(model_.bias, {outputs});
  }

 private:
  Ridge model_;
};

class RidgeLearner final : public Learner {
 public:
  explicit RidgeLearner(const StageContext& context)
      : alphas_(learning::ascending(context.params.get<std::vector<double>>("alpha"))), warn_(context.warn) {}

  LearnerResult fit(const LearnerInput& input) override {
    return learning::choose_and_refit(
        input, [&](LearnerResult& out) { return choose(input, out); },
        [&](double alpha, Value& summary) { return refit(input, alpha, summary); });
  }

  std::unique_ptr<Predictor> load(const Bundle& bundle) const override {
    Ridge model;
    model.classes = learning::class_count(bundle);
    model.dim = learning::count_fact(bundle, "dim", 1);
    const std::size_t outputs = learning::count_fact(bundle, "outputs", 2);
    const auto rows = static_cast<std::int64_t>(outputs), columns = static_cast<std::int64_t>(model.dim);
    model.fitted = learning::class_indices(bundle, "fitted", outputs, model.classes);
    model.weight = learning::floats(bundle, "weight", {rows, columns});
    model.bias = learning::floats(bundle, "bias", {rows});
    return std::make_unique<RidgePredictor>(std::move(model));
  }

 private:
  std::optional<double> choose(const LearnerInput& input, LearnerResult& out) const {
    const TrainingTable& table = input.tables.at(0);
    const std::size_t classes = input.classes.size();
    const learning::FeatureRows train(*table.train, classes, kCacheBytes, input.parallel);
    const learning::FeatureRows val(*table.val, classes, kCacheBytes, input.parallel);
    const bool has_val = val.rows() > 0;
    const ClosedForm form(train, classes,
                          learning::classes_to_learn(train, input.classes, table.stage, warn_));
    std::vector<double> alphas = alphas_;
    if (!has_val) {
      alphas = {learning::nearest_by_ratio(alphas_, 1)};
      learning::warn_no_val_rows(table.stage, {{"alpha", alphas_.size(), alphas[0], 1}}, warn_);
    }
    learning::CandidateSelection selection(metrics::Criterion::Accuracy);
    Ridge best;
    for (const double alpha : alphas) {
      Ridge model = form.solve(alpha);
      Value parameters = Value::map();
      parameters["alpha"] = alpha;
      std::optional<metrics::Score> score;
      if (has_val) score = measure(model, val);
      if (selection.add(std::move(parameters), score)) best = std::move(model);
    }
    out.predictor = std::make_unique<RidgePredictor>(std::move(best));
    out.summary["alpha"] = alphas[selection.best()];
    learning::describe_choice(learning::chosen_on(has_val, alphas.size()), train.rows(), val.rows(),
                              out.summary);
    out.summary["path"] = selection.path();
    return alphas[selection.best()];
  }

  std::unique_ptr<Predictor> refit(const LearnerInput& input, double alpha, Value& summary) const {
    const std::size_t classes = input.classes.size();
    const learning::FeatureRows rows(*input.tables.at(0).train_val, classes, kCacheBytes, input.parallel);
    summary["refit"]["rows"] = static_cast<std::int64_t>(rows.rows());
    return std::make_unique<RidgePredictor>(
        ClosedForm(rows, classes, learning::classes_present(rows)).solve(alpha));
  }

  static metrics::Score measure(const Ridge& model, const learning::FeatureRows& rows) {
    metrics::ScoreSum sum;
    std::vector<float> row(rows.dim()), scores(model.classes);
    for (std::size_t r = 0; r < rows.rows(); ++r) {
      rows.read(r, 1, row.data());
      model.scores(row.data(), 1, scores.data());
      sum.add(scores, rows.labels_of(r), metrics::LabelMode::Single);
    }
    return sum.mean();
  }

  std::vector<double> alphas_;
  learning::Warn warn_;
};

}  // namespace

GRAFT_PLUGIN(
    ridge, "1.0.0", RidgeLearner,
    graft::PluginSchema::learner("Classification by ridge regression, in closed form.")
        .input(graft::PortType::Table, "Feature vectors with one label per row.")
        .output("out", graft::PortType::Predictor, "f32[?]",
                "Softmax of the outputs; 0 for a class without train rows.")
        .param(graft::list("alpha", graft::number("alpha").range(1e-9, 1e9))
                   .or_scalar()
                   .items(1, 100)
                   .default_list({0.01, 0.1, 1.0, 10.0, 100.0})
                   .doc("Weight of the penalty |W|^2. Of several, the one with the best accuracy on val is "
                        "taken (then the lowest log loss, then the smallest).")))
