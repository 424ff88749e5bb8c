#include <dense/parameters.h>

#include <algorithm>
#include <string>

#include <graft/error.h>

namespace graft::dense {

std::vector<ParamSpec> training_parameters() {
  return {
      integer("epochs", 50)
          .range(1, 100000)
          .doc("Passes over the rows, at most; the schedule is laid out for them."),
      integer("batch", 128).range(1, 65536).unit("rows").doc("Rows of a step, at most."),
      choice("optimizer", OptimizerOptions::names(), "adamw")
          .doc("Gradient descent with Nesterov momentum, Adam, or AdamW (both with betas 0.9 and 0.999)."),
      number("learning_rate")
          .optional()
          .range(1e-8, 100)
          .doc("Peak learning rate; default: 0.01 for sgd, 0.001 for adam and adamw."),
      number("momentum", 0.9).range(0, 0.9999).doc("Of sgd; the others have none."),
      list("weight_decay", number("weight_decay").range(0, 10))
          .or_scalar()
          .optional()
          .items(1, 20)
          .doc("On weights, not on biases: in the gradient of sgd and adam, decoupled from it in adamw. Of "
               "several, the one that does best on val is taken (then the smallest). Default: 0.0005 for "
               "sgd, 0.0001 for adam, 0.01 for adamw."),
      choice("schedule", Schedule::names(), "cosine")
          .doc("Of the learning rate, after the warm-up: constant, half a cosine down to zero, or steps "
               "down."),
      number("warmup_epochs", 1)
          .at_least(0)
          .unit("epochs")
          .doc("The learning rate rises linearly at first. At most `epochs`."),
      list("drops", number("share").range(0, 1))
          .items(1, 100)
          .default_list({0.3, 0.6, 0.9})
          .doc("Schedule step: fractions of the training after which the learning rate drops."),
      number("drop_factor", 0.1).range(0, 1).doc("Schedule step: factor of the learning rate at a drop."),
      number("dropout", 0)
          .range(0, 0.95)
          .doc("Fraction of the outputs of every hidden layer that are zeroed in training."),
      number("input_dropout", 0).range(0, 0.95).doc("Fraction of the features that are zeroed in training."),
      number("label_smoothing", 0)
          .range(0, 0.9)
          .doc("Fraction of the target probability that is spread over all classes; with several labels per "
               "row, over yes and no."),
      number("mixup", 0)
          .range(0, 100)
          .doc("Alpha of mixup: scaled feature vectors of a batch are added in pairs, with weights from "
               "Beta(alpha, alpha), and so are their labels; 0: off. With scale l2 the sum is scaled again."),
      choice("monitor", {"accuracy", "log_loss"}, "accuracy")
          .doc("What decides on val which epoch is the best, and when to stop: accuracy (ties go to the "
               "lower log loss) or log loss. With several labels per row it is always the log loss."),
      integer("patience", 10)
          .range(0, 100000)
          .unit("epochs")
          .doc("Stop after this many epochs without an improvement on val; 0: never."),
      number("min_delta", 0).range(0, 1).doc("Only an improvement larger than this counts.")};
}

TrainingOptions training_options(const Params& params, std::uint64_t seed) {
  TrainingOptions options;
  options.epochs = params.get<std::int64_t>("epochs");
  options.batch = params.get<std::size_t>("batch");
  options.schedule.kind = Schedule::kind_from(params.get<std::string>("schedule"));
  options.schedule.epochs = static_cast<double>(options.epochs);
  options.schedule.warmup_epochs = params.get<double>("warmup_epochs");
  options.schedule.drops = params.get<std::vector<double>>("drops");
  options.schedule.drop_factor = params.get<double>("drop_factor");
  if (options.schedule.warmup_epochs > options.schedule.epochs)
    throw Error("warmup_epochs: expected at most `epochs`, the whole training");
  options.mixup = params.get<double>("mixup");
  options.monitor = params.get<std::string>("monitor") == "accuracy" ? metrics::Criterion::Accuracy
                                                                     : metrics::Criterion::LogLoss;
  options.patience = params.get<std::int64_t>("patience");
  options.min_delta = params.get<double>("min_delta");
  options.seed = seed;
  OptimizerOptions& optimizer = options.trainer.optimizer;
  optimizer = OptimizerOptions::usual(OptimizerOptions::kind_from(params.get<std::string>("optimizer")));
  if (params.has("learning_rate")) optimizer.learning_rate = params.get<double>("learning_rate");
  optimizer.momentum = params.get<double>("momentum");
  optimizer.weight_decay = weight_decays(params).front();
  options.trainer.loss.label_smoothing = params.get<double>("label_smoothing");
  options.trainer.seed = seed;
  return options;
}

std::vector<double> weight_decays(const Params& params) {
  const auto kind = OptimizerOptions::kind_from(params.get<std::string>("optimizer"));
  if (!params.has("weight_decay")) return {OptimizerOptions::usual(kind).weight_decay};
  auto values = params.get<std::vector<double>>("weight_decay");
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

std::vector<double> dropout_of(const Params& params, std::size_t layers) {
  std::vector<double> shares(layers, params.get<double>("dropout"));
  shares[0] = params.get<double>("input_dropout");
  return shares;
}

}  // namespace graft::dense
