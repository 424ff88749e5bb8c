#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <graft/plugin.h>

#include <dense/parameters.h>
#include <dense/training.h>
#include <learning/class_weights.h>
#include <learning/learning.h>
#include <learning/selection.h>
#include "predictor.h"

namespace graft {
namespace {

constexpr std::size_t kMostWeights = std::size_t{1} << 28;  // 1 GiB, and three times that in training

/// A network that was trained, and how that went.
struct Trained {
  MlpModel model;
  dense::TrainingResult result;
};

/// Trains a network on the train rows, with val to stop by and to choose the weight decay; then once more on
/// train and val for as many epochs.
class Mlp final : public Learner {
 public:
  explicit Mlp(const StageContext& context)
      : params_(context.params),
        options_(dense::training_options(params_, context.seed)),
        decays_(dense::weight_decays(params_)),
        class_weights_(params_),
        hidden_(params_.get<std::vector<std::size_t>>("hidden")),
        scale_(learning::RowScaler::kind_from(params_.get<std::string>("scale"))),
        cache_bytes_(learning::cache_bytes(params_)),
        refit_(params_.get<bool>("refit")),
        warn_(context.warn) {
    options_.trainer.dropout = dense::dropout_of(params_, hidden_.size() + 1);
    options_.trainer.unit_length = scale_ == learning::RowScaler::Kind::L2;
  }

  LearnerResult fit(const LearnerInput& input) override {
    return learning::choose_and_refit(
        input, [&](LearnerResult& out) { return choose(input, out); },
        [&](const dense::TrainingOptions& options, Value& summary) {
          return refit(input, options, summary);
        });
  }

  std::unique_ptr<Predictor> load(const Bundle& bundle) const override { return MlpPredictor::load(bundle); }

 private:
  dense::TrainingOptions options(const LearnerInput& input) const {
    dense::TrainingOptions options = options_;
    options.classes = input.classes.size();
    options.epoch_ended = [&input](const Value& point, std::int64_t epochs) {
      input.report_step("epoch", static_cast<std::size_t>(point.find("epoch")->as_int()),
                        static_cast<std::size_t>(epochs), point);
    };
    if (input.multi_label) {
      options.trainer.loss.kind = dense::Loss::Kind::Sigmoid;
      options.monitor = metrics::Criterion::LogLoss;
    }
    return options;
  }

  learning::FeatureRows read(const RowSet& rows, const LearnerInput& input) const {
    return {rows, input.classes.size(), cache_bytes_, input.parallel, metrics::label_mode(input.multi_label)};
  }

  /// Trains with every weight decay and keeps what is best on val. Returns the options of the refit: no val
  /// is no refit, since nothing is left to add.
  std::optional<dense::TrainingOptions> choose(const LearnerInput& input, LearnerResult& out) const {
    const TrainingTable& table = input.tables.at(0);
    dense::TrainingOptions options = this->options(input);
    learning::FeatureRows train = read(*table.train, input);
    learning::FeatureRows val = read(*table.val, input);
    const bool has_val = val.rows() > 0;
    const auto fitted = learning::classes_to_learn(train, input.classes, table.stage, warn_);
    const learning::RowScaler scaler = learning::fit_scaler(scale_, train, input.parallel);
    val.scale(scaler, input.parallel);
    learning::CandidateSelection selection(options.monitor);
    std::optional<Trained> best;
    const std::vector<double> decays = has_val ? decays_ : std::vector<double>{without_val(table.stage)};
    for (const double decay : decays) {
      options.trainer.optimizer.weight_decay = decay;
      Trained now = train_once(train, &val, fitted, scaler, input, options);
      Value v = Value::Map{{"weight_decay", decay}, {"best_epoch", now.result.best_epoch}};
      std::optional<metrics::Score> score;
      if (has_val) score = now.result.val;
      if (selection.add(std::move(v), score)) best = std::move(now);
    }
    options.trainer.optimizer.weight_decay = decays[selection.best()];
    options.stop_after = best->result.best_epoch;
    describe(*best, options, has_val, out.summary);
    // The epoch is chosen on val, whatever the number of candidates.
    learning::describe_choice(has_val ? "val" : "nothing", train.rows(), val.rows(), out.summary);
    if (decays.size() > 1) out.summary["path"] = selection.path();
    out.predictor = std::make_unique<MlpPredictor>(std::move(best->model));
    return refit_ && has_val ? std::optional(std::move(options)) : std::nullopt;
  }

  std::unique_ptr<Predictor> refit(const LearnerInput& input, const dense::TrainingOptions& options,
                                   Value& summary) const {
    learning::FeatureRows rows = read(*input.tables.at(0).train_val, input);
    const learning::RowScaler scaler = learning::fit_scaler(scale_, rows, input.parallel);
    Trained all = train_once(rows, nullptr, learning::classes_present(rows), scaler, input, options);
    Value& refit = summary["refit"];
    refit["rows"] = static_cast<std::int64_t>(rows.rows());
    refit["epochs"] = all.result.epochs;
    refit["train_loss"] = *all.result.curve.as_list().back().find("train_loss");
    return std::make_unique<MlpPredictor>(std::move(all.model));
  }

  /// The value that is nearest to the optimizer's own default, by difference: a weight decay may be 0.
  double without_val(const std::string& table) const {
    const double usual = dense::OptimizerOptions::usual(options_.trainer.optimizer.kind).weight_decay;
    const double decay = *std::min_element(decays_.begin(), decays_.end(), [usual](double a, double b) {
      return std::abs(a - usual) < std::abs(b - usual);
    });
    const std::string taken =
        decays_.size() > 1 ? fmt::format(" with weight_decay = {} (nearest to {})", decay, usual) : "";
    learning::warn_no_val_rows(
        table, "stop by", fmt::format("training for all {} epochs{}", options_.epochs, taken), "", warn_);
    return decay;
  }

  Trained train_once(const learning::FeatureRows& rows, const learning::FeatureRows* val,
                     const std::vector<std::int32_t>& fitted, const learning::RowScaler& scaler,
                     const LearnerInput& input, dense::TrainingOptions options) const {
    const auto kind = options.trainer.loss.kind;
    const auto weights =
        class_weights_.values(input.classes, fitted, rows, kind == dense::Loss::Kind::Sigmoid);
    options.trainer.loss.class_weights = weights.of_class;
    options.trainer.loss.rest_weights = weights.of_rest;
    Trained out{{empty_network(rows.dim(), fitted.size()), kind, input.classes.size(), fitted, scaler}, {}};
    out.model.network.draw(options.seed);
    const dense::TableExamples examples(rows, fitted);
    std::optional<dense::TableExamples> val_examples;
    if (val != nullptr) val_examples.emplace(*val, fitted);
    out.result = dense::train(out.model.network, examples, val_examples ? &*val_examples : nullptr, options,
                              input.parallel);
    return out;
  }

  dense::Network empty_network(std::size_t dim, std::size_t outputs) const {
    std::vector<std::size_t> widths = {dim};
    widths.insert(widths.end(), hidden_.begin(), hidden_.end());
    widths.push_back(outputs);
    std::size_t weights = 0;
    for (std::size_t l = 0; l + 1 < widths.size(); ++l) weights += (widths[l] + 1) * widths[l + 1];
    if (weights > kMostWeights) {
      throw Error(
          fmt::format("a network of {} features, hidden layers [{}] and {} classes has {} weights: expected "
                      "at most {}; make `hidden` narrower",
                      dim, fmt::join(hidden_, ", "), outputs, weights, kMostWeights));
    }
    return dense::Network(std::move(widths));
  }

  void describe(const Trained& best, const dense::TrainingOptions& options, bool has_val,
                Value& summary) const {
    const dense::OptimizerOptions& optimizer = options.trainer.optimizer;
    summary["hidden"] = params_.raw("hidden");
    summary["loss"] = options.trainer.loss.kind == dense::Loss::Kind::Softmax ? "softmax" : "binary";
    summary["scale"] = best.model.scaler.name();
    summary["optimizer"] = params_.raw("optimizer");
    summary["learning_rate"] = optimizer.learning_rate;
    summary["weight_decay"] = optimizer.weight_decay;
    if (options.mixup > 0)
      summary["mixup_of"] =
          options.trainer.unit_length ? "scaled features, scaled to length 1 again" : "scaled features";
    summary["epochs"] = best.result.epochs;
    summary["best_epoch"] = best.result.best_epoch;
    if (has_val) {
      summary["monitor"] = options.monitor == metrics::Criterion::Accuracy ? "accuracy" : "log_loss";
      summary["val_accuracy"] = best.result.val.accuracy;
      summary["val_log_loss"] = best.result.val.log_loss;
    }
    summary["curve"] = best.result.curve;
  }

  Params params_;
  dense::TrainingOptions options_;
  std::vector<double> decays_;
  learning::ClassWeights class_weights_;
  std::vector<std::size_t> hidden_;
  learning::RowScaler::Kind scale_;
  std::size_t cache_bytes_;
  bool refit_;
  learning::Warn warn_;
};

constexpr const char* kStages =
    R"(  mlp: {plugin: mlp, from: table, with: {hidden: [128], dropout: 0.3, epochs: 30}}
  report: {plugin: evaluate, from: mlp}
)";

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(
    mlp, "1.1.1", graft::Mlp,
    graft::PluginSchema::learner(
        "A small neural network on feature vectors, trained by gradient descent; stopped by val, then "
        "refit on train and val.")
        .input(graft::PortType::Table, "Feature vectors with one label per row, or several.")
        .output("out", graft::PortType::Predictor, "f32[?]",
                "Class probabilities; with several labels per row, a probability for every class. 0 for a "
                "class without train rows.")
        .param(graft::list("hidden", graft::integer("width").range(1, 65536))
                   .or_scalar()
                   .items(0, 20)
                   .default_list({256})
                   .doc("Widths of the hidden layers, with ReLU after them; an empty list makes a "
                        "linear model."))
        .params_from(graft::dense::training_parameters())
        .param(graft::learning::ClassWeights::parameter())
        .param(graft::choice("scale", graft::learning::RowScaler::names(), "standard")
                   .doc("Scaling of the features: none, rows to length 1, or columns to mean 0 and "
                        "variance 1."))
        .param(graft::flag("refit", true)
                   .doc("Train once more on train and val, for as many epochs as were best on val; "
                        "false: the network of that epoch stays."))
        .param(graft::learning::cache_parameter(
            "A table of at most this size is held in memory; a larger one is read again in "
            "every epoch."))
        .depends_on_seed()
        .example(graft::learning::config_on_features("mlp", graft::kStages)))
