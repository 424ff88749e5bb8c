#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <graft/learner.h>
#include <graft/params.h>

#include "pixels.h"
#include "trainer.h"

namespace graft {

/// What must be known, besides the state of the trainer, to go on as if nothing had happened.
struct TrainingProgress {
  std::int64_t epoch = 0, step = 0;  ///< The next step to take.
  Score sum;                         ///< Of the steps of this epoch so far.
  std::int64_t best_epoch = -1;
  double best_accuracy = -1, best_loss = 0;
  bool finished = false;
  Value curve = Value::list();  ///< A map per finished epoch: losses and accuracies on train and val.

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
  TrainingRun(const Params& params, std::uint64_t seed, const LearnerInput& input, const Pixels& train,
              const Pixels& val, const augment::Augmentation& augmentation, Trainer& trainer,
              std::string identity);

  /// Trains to the end. Throws Error("interrupted"), and Error when a checkpoint is damaged or cannot be
  /// written, or when the loss is no longer a number.
  void run();

  /// Weights of the epoch that was best on val; of the last epoch where there is no val.
  const std::map<std::string, Tensor>& best() const { return best_; }
  const TrainingProgress& progress() const { return progress_; }

 private:
  void resume();
  void train_epoch();
  void finish_epoch();
  double learning_rate() const;
  void save() const;

  const Params& params_;
  std::uint64_t seed_;
  const LearnerInput& input_;
  const Pixels& train_;
  const Pixels& val_;
  const augment::Augmentation& augmentation_;
  augment::BatchMixer mixer_;
  Trainer& trainer_;
  std::string identity_, file_;
  std::size_t batch_;
  std::int64_t epochs_, steps_;
  double peak_;  ///< Of the learning rate.
  TrainingProgress progress_;
  std::map<std::string, Tensor> best_;
};

}  // namespace graft
