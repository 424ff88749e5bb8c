#include "hidden_training.h"

#include <dense/training.h>

namespace graft {

TrainedHidden train_hidden(const HiddenOptions& options, const LabelledRows& train, const LabelledRows& val,
                           std::size_t classes, Parallel& parallel) {
  const dense::MatrixExamples train_examples(train.values, train.dim, train.labels);
  const dense::MatrixExamples val_examples(val.values, train.dim, val.labels);
  dense::TrainingOptions o;
  o.trainer.optimizer.learning_rate = options.learning_rate;
  o.trainer.optimizer.weight_decay = options.weight_decay;
  o.trainer.dropout = {options.dropout, 0};
  o.trainer.seed = options.seed;
  o.schedule.epochs = static_cast<double>(options.epochs);
  o.epochs = static_cast<std::int64_t>(options.epochs);
  o.stop_after = static_cast<std::int64_t>(options.stop_after.value_or(0));
  o.batch = 64;
  o.monitor = metrics::Criterion::LogLoss;
  o.patience = static_cast<std::int64_t>(options.patience);
  o.seed = options.seed;
  dense::Network network({train.dim, options.units, classes});
  network.draw(options.seed);
  dense::TrainingResult result = dense::train(network, train_examples, &val_examples, o, parallel);
  return {std::move(network), static_cast<std::size_t>(result.best_epoch), std::move(result.curve)};
}

}  // namespace graft
