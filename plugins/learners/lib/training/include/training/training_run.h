#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <graft/learner.h>
#include <graft/params.h>

#include <training/pixels.h>
#include <training/trainer.h>

namespace graft::training {

/// What a stage takes where its parameters are left out.
struct PlanDefaults {
  std::int64_t epochs, least_epochs, batch;
  double warmup_epochs, label_smoothing;
  std::int64_t patience;
};

/// `epochs`, `batch`, `warmup_epochs`, `label_smoothing`, `patience`.
std::vector<ParamSpec> plan_parameters(const PlanDefaults& defaults);

/// How long to train, and what changes on the way.
struct TrainingPlan {
  TrainingPlan() = default;
  /// From resolved parameters. Throws Error for a warm-up that is longer than the training.
  TrainingPlan(const Params& params, double peak);

  std::int64_t epochs = 30;
  std::size_t batch = 128, accumulate = 1;  ///< Images of a batch, batches of a step.
  double warmup_epochs = 1;
  double learning_rate = 0.1;  ///< At the end of the warm-up.
  std::int64_t patience = 0;   ///< Epochs without a better one after which it ends; 0: never.
  /// Of the logits in the loss: from the first value in the first epoch to the last one in the last epoch,
  /// linearly from value to value.
  std::vector<double> temperatures = {1};
  /// Train for so many of the epochs only, and on no val: the refit of a training whose best epoch is known.
  std::optional<std::int64_t> stop_after;
  bool start_counts = false;  ///< The weights before the first step may be the best.
  metrics::Criterion best_by = metrics::Criterion::Accuracy;  ///< What on val makes an epoch the best.

  /// Steps of an epoch over so many images. One image that is left over waits for another epoch: batch-norm
  /// needs company.
  std::int64_t steps(std::size_t images) const;
  /// Linear warm-up, then half a cosine down to zero (Loshchilov and Hutter 2017, arXiv:1608.03983). `step`
  /// counts from 0, over all epochs.
  double rate(std::int64_t step, std::int64_t steps_per_epoch) const;
  std::int64_t last() const { return std::min(epochs, stop_after.value_or(epochs)); }
  double temperature(std::int64_t epoch) const;
};

/// What must be known, besides the state of the trainer, to go on as if nothing had happened.
struct TrainingProgress {
  std::int64_t epoch = 0, step = 0;  ///< The next step to take.
  StepSum sum;                       ///< Of the steps of this epoch so far.
  std::int64_t best_epoch = -1;      ///< Epochs trained until then, less one.
  metrics::Score best;               ///< Of that epoch, on val.
  bool finished = false;
  Value origin;  ///< What the caller wants to remember of how it began.
  /// A map per finished epoch: losses and accuracies on train and val. Epoch 0 is the start, where it counts.
  Value curve = Value::list();

  Value to_value() const;
  static TrainingProgress from(const Value& value);
};

/// The epochs of one training, from the start or from `checkpoint.bin` in the learner's work folder. A
/// checkpoint is written after every epoch and when the run is interrupted; what follows is a function of it
/// alone, so a resumed training ends with the same bits as one that was never stopped.
class TrainingRun {
 public:
  /// Keeps the references. `identity` names all that the result depends on: a checkpoint of another one is
  /// ignored.
  TrainingRun(TrainingPlan plan, std::uint64_t seed, const LearnerInput& input, const Pixels& train,
              const Pixels& val, const augment::Augmentation& augmentation, const augment::BatchMixer& mixer,
              Trainer& trainer, std::string identity, Value origin = {});

  /// Trains to the end. Throws Interrupted, and Error when a checkpoint is damaged or cannot be
  /// written, or when the loss is no longer a number.
  void run();

  /// Trainer::weights() of the epoch that was best on val; of the last epoch where there is no val.
  const std::map<std::string, Tensor>& best() const { return best_; }
  const TrainingProgress& progress() const { return progress_; }

 private:
  void resume();
  void start();
  void train_epoch();
  void finish_epoch();
  TrainingStep next_step(std::span<const std::uint32_t> order) const;
  void judge(std::int64_t epoch, Value point);
  void save() const;

  const TrainingPlan plan_;
  std::uint64_t seed_;
  const LearnerInput& input_;
  const Pixels& train_;
  const Pixels& val_;
  const augment::Augmentation& augmentation_;
  const augment::BatchMixer& mixer_;
  Trainer& trainer_;
  std::string identity_, file_;
  std::int64_t steps_;  ///< Of an epoch.
  TrainingProgress progress_;
  std::map<std::string, Tensor> best_;
};

/// What a training left that has come to its end.
struct FinishedTraining {
  TrainingProgress progress;
  std::map<std::string, Tensor> best;
};

/// From the checkpoint in the folder; nothing where there is none of this identity, or one that goes on.
/// Throws Error when it is damaged.
std::optional<FinishedTraining> finished_training(const std::string& work_folder,
                                                  const std::string& identity);

}  // namespace graft::training
