#include <graft/plugin.h>

#include <learning/bundle.h>
#include <learning/learning.h>
#include <learning/selection.h>
#include <numeric/blas.h>
#include <numeric/softmax.h>

using namespace graft;
using learning::FeatureRows;

/// A linear output per class, with `weight` row-major classes x dim; the scores are their softmax.
class Ridge final : public Predictor {
 public:
  Ridge(std::vector<float> weight, std::vector<float> bias)
      : weight_(std::move(weight)), bias_(std::move(bias)), dim_(weight_.size() / bias_.size()) {}
  Scores predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const override {
    const std::size_t classes = bias_.size();
    const auto score = [&](const float* rows, std::size_t count, float* out) {
      numeric::multiply_nt({rows, count, dim_}, {weight_.data(), classes, dim_}, {out, count, classes});
      for (std::size_t r = 0; r < count; ++r) {
        for (std::size_t c = 0; c < classes; ++c) out[r * classes + c] += bias_[c];
        numeric::softmax({out + r * classes, classes});
      }
    };
    return learning::score_table(learning::only_table(tables, dim_), classes, {}, parallel, score);
  }
  void save(Bundle& bundle) const override {
    const auto classes = static_cast<std::int64_t>(bias_.size()), dim = static_cast<std::int64_t>(dim_);
    bundle.facts["classes"] = classes;
    bundle.facts["dim"] = dim;
    bundle.tensors["weight"] = learning::tensor_of(weight_, {classes, dim});
    bundle.tensors["bias"] = learning::tensor_of(bias_, {classes});
  }

 private:
  std::vector<float> weight_, bias_;
  std::size_t dim_;
};

/// W = Y'X (X'X + alpha I)^-1 with Y +1 for the class and -1 for the others, and centred X: the bias has no
/// penalty. A class without rows has the score 0.
std::unique_ptr<Ridge> closed_form(const FeatureRows& rows, std::size_t classes, double alpha) {
  const std::size_t n = rows.rows(), dim = rows.dim();
  std::vector<float> values(n * dim), bias(classes, -1e30F);
  std::vector<double> x(n * dim), y(n * classes, -1), gram(dim * dim), w(classes * dim), mean(dim);
  rows.read(0, n, values.data());
  for (std::size_t i = 0; i < x.size(); ++i) mean[i % dim] += values[i] / static_cast<double>(n);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = values[i] - mean[i % dim];
  for (std::size_t r = 0; r < n; ++r) y[r * classes + static_cast<std::size_t>(rows.labels()[r])] = 1;
  numeric::add_gram_lower({x.data(), n, dim}, {gram.data(), dim, dim});
  numeric::multiply_tn({y.data(), n, classes}, {x.data(), n, dim}, {w.data(), classes, dim});
  for (std::size_t d = 0; d < dim; ++d) gram[d * dim + d] += alpha;
  if (!numeric::cholesky({gram.data(), dim, dim})) throw Error("the features are too large: raise alpha");
  numeric::cholesky_solve({gram.data(), dim, dim}, {w.data(), classes, dim});
  for (const std::int32_t present : learning::classes_present(rows)) {
    const auto c = static_cast<std::size_t>(present);
    double output = 0;
    for (std::size_t r = 0; r < n; ++r) output += y[r * classes + c] / static_cast<double>(n);
    for (std::size_t d = 0; d < dim; ++d) output -= w[c * dim + d] * mean[d];
    bias[c] = static_cast<float>(output);
  }
  return std::make_unique<Ridge>(std::vector<float>(w.begin(), w.end()), std::move(bias));
}

class RidgeLearner final : public Learner {
 public:
  explicit RidgeLearner(const StageContext& context)
      : alphas_(learning::ascending(context.params.get<std::vector<double>>("alpha"))), warn_(context.warn) {}
  LearnerResult fit(const LearnerInput& input) override {
    const TrainingTable& table = input.tables.at(0);
    const std::size_t classes = input.classes.size(), cache = 1U << 30;
    const FeatureRows train(*table.train, classes, cache, input.parallel);
    const FeatureRows val(*table.val, classes, cache, input.parallel);
    const FeatureRows both(*table.train_val, classes, cache, input.parallel);
    learning::classes_to_learn(train, input.classes, table.stage, warn_);
    const bool has_val = val.rows() > 0;
    std::vector<double> alphas = alphas_;
    if (!has_val) alphas = {learning::nearest_by_ratio(alphas_, 1)};
    if (!has_val) learning::warn_no_val_rows(table.stage, {{"alpha", alphas_.size(), alphas[0], 1}}, warn_);
    LearnerResult out;
    learning::CandidateSelection selection(metrics::Criterion::Accuracy);
    for (const double alpha : alphas) {
      Scores scores = closed_form(train, classes, alpha)->predict({table.val}, input.parallel);
      metrics::ScoreSum sum;
      for (std::size_t r = 0; r < val.rows(); ++r)
        sum.add({scores.row(val.positions()[r]), classes}, val.labels_of(r), metrics::LabelMode::Single);
      Value tried = Value::map();
      tried["alpha"] = alpha;
      if (selection.add(tried, has_val ? std::optional(sum.mean()) : std::nullopt))
        out.val = std::move(scores);
    }
    out.predictor = closed_form(both, classes, alphas[selection.best()]);
    out.summary["alpha"] = alphas[selection.best()];
    out.summary["path"] = selection.path();
    out.summary["refit"]["rows"] = static_cast<std::int64_t>(both.rows());
    const char* const chosen_on = learning::chosen_on(has_val, alphas.size());
    learning::describe_choice(chosen_on, train.rows(), val.rows(), out.summary);
    return out;
  }
  std::unique_ptr<Predictor> load(const Bundle& bundle) const override {
    const auto classes = static_cast<std::int64_t>(learning::class_count(bundle, 2));
    const auto dim = static_cast<std::int64_t>(learning::count_fact(bundle, "dim", 1));
    return std::make_unique<Ridge>(learning::floats(bundle, "weight", {classes, dim}),
                                   learning::floats(bundle, "bias", {classes}));
  }

 private:
  std::vector<double> alphas_;
  learning::Warn warn_;
};

GRAFT_PLUGIN(ridge, "1.0.0", RidgeLearner,
             PluginSchema::learner("Classification by ridge regression, in closed form.")
                 .input(PortType::Table, "Feature vectors with one label per row.")
                 .output("out", PortType::Predictor, "f32[?]", "Softmax of the outputs.")
                 .param(list("alpha", number("alpha").range(1e-9, 1e9))
                            .or_scalar()
                            .default_list({0.01, 0.1, 1.0, 10.0, 100.0})
                            .doc("Weight of the penalty |W|^2. Of several, the best on val is taken.")))
