#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <graft/predictor.h>

#include <augment/augmentation.h>
#include <augment/batch_mix.h>
#include <metrics/score.h>

#include <training/optimizer.h>
#include <training/pixels.h>

namespace graft::training {

class FrozenPart;
class TrainableNetwork;

/// Parameters that are trained alike.
struct ParameterGroup {
  std::vector<std::string> paths;
  double rate = 1;              ///< Times the learning rate.
  std::int64_t first_step = 0;  ///< Before, they stay as they are.
};

struct TrainerOptions {
  OptimizerOptions optimizer;
  std::vector<ParameterGroup> groups;  ///< What is in none is never trained. No group: all, always.
  bool train_statistics = true;  ///< Batch-norm layers that are trained take the statistics of the batch.
  bool several_labels = false;
  std::size_t batch = 128;
  std::size_t part = 32;  ///< Images that one thread computes at a time: a batch is cut into such parts.
  double label_smoothing = 0.1;
  double ema = 0;     ///< Decay of the average of weights; 0: none is kept.
  double clip = 0;    ///< Most that the norm of a step's gradient may be; 0: any.
  bool bf16 = false;  ///< Products in bf16, everything else in float32.
  std::uint64_t seed = 0;
};

/// What steps were trained by, summed over images: the loss as it is bent in training, and hits.
struct StepSum {
  double loss = 0;
  std::size_t correct = 0, images = 0;

  StepSum& operator+=(const StepSum& other) {
    loss += other.loss;
    correct += other.correct;
    images += other.images;
    return *this;
  }
};

/// What one step trains on, and how the images are changed before. The gradient is that of the mean over the
/// images of all batches.
struct TrainingStep {
  struct Batch {
    std::span<const std::uint32_t> images;  ///< Positions in the pixels; at most a batch.
    augment::BatchMix mix;                  ///< Of these images.
  };
  std::vector<Batch> batches;
  const augment::Augmentation& augmentation;
  std::uint32_t epoch = 0;
  std::int64_t number = 0;  ///< Of steps that came before, in all epochs.
  double learning_rate = 0;
  double temperature = 1;  ///< Logits are divided by it before the loss.
};

/// A network in training.
///
/// A batch is cut into parts of a fixed size, each computed by one thread on a replica that shares the
/// weights; gradients are summed part by part in order, and batch-norm statistics are taken per part and
/// averaged ("ghost" batch norm, Hoffer et al. 2017). What dropout drops is a pure function of the seed, the
/// layer, the step and the place in the batch. So every number is the same on any number of threads.
///
/// With `ema`, an exponential moving average of weights and batch-norm statistics is kept beside them: its
/// decay at step t = 1, 2, ... is min(ema, (1 + t) / (10 + t)), as TensorFlow's ExponentialMovingAverage has
/// it. Not thread-safe itself.
class Trainer {
 public:
  /// `before`: layers in front of the network, to outlive this; null: it takes the images themselves. Of
  /// pixels whose values `before` keeps, these are taken; such images are neither changed nor mixed.
  Trainer(TrainerOptions options, const TrainableNetwork& network, const FrozenPart* before,
          Parallel& parallel);
  ~Trainer();

  /// Returns the loss and hits before the step. Of a mixed image the label with the larger weight counts.
  StepSum step(const Pixels& pixels, const TrainingStep& step);
  /// Of the averages, or of the weights where there are none. At least one image.
  metrics::Score evaluate(const Pixels& pixels);

  /// How many numbers are trained, at one time or another.
  std::int64_t trainable_parameters() const;
  /// What evaluate uses, weights and batch-norm statistics: copies, by path.
  std::map<std::string, Tensor> weights() const;
  /// All that the next steps depend on: weights, averages, the optimizer's memory; copies.
  std::map<std::string, Tensor> state() const;
  /// Goes back to an earlier state, which may be among other tensors. Throws Error when a tensor is missing
  /// or has another shape.
  void restore(const std::map<std::string, Tensor>& state);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace graft::training
