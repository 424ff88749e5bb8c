#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include <graft/predictor.h>

#include <augment/augmentation.h>
#include <augment/batch_mix.h>

#include "architecture.h"
#include "pixels.h"

namespace graft {

struct TrainerOptions {
  Architecture architecture;
  std::size_t batch = 128;
  std::size_t part =
      32;  ///< Images that one thread computes at a time; a batch is cut into parts of this size.
  double momentum = 0.9;
  double weight_decay = 5e-4;
  double label_smoothing = 0.1;
  std::uint64_t seed = 0;
};

/// Sums over images; divide by `images`.
struct Score {
  double loss = 0;
  std::size_t correct = 0, images = 0;
};

/// What one step trains on, and how the images are changed before.
struct TrainingStep {
  std::span<const std::uint32_t> images;  ///< Positions in the pixels; at most a batch.
  const augment::Augmentation& augmentation;
  augment::BatchMix mix;  ///< Of these images.
  std::uint32_t epoch = 0;
  double learning_rate = 0;
};

/// A network in training: stochastic gradient descent with Nesterov momentum (Sutskever et al. 2013, section
/// 2; weight decay on convolutions and linear layers only).
///
/// A batch is cut into parts of a fixed size, each computed by one thread on a replica that shares the
/// weights; gradients are summed part by part in order, and batch-norm statistics are taken per part and
/// averaged ("ghost" batch norm, Hoffer et al. 2017). So every number is the same on any number of threads.
/// Not thread-safe itself.
class Trainer {
 public:
  /// Weights start He-normal from `options.seed`.
  Trainer(TrainerOptions options, Parallel& parallel);
  ~Trainer();

  /// Returns the loss and hits before the step. Of a mixed image the label with the larger weight counts.
  Score step(const Pixels& pixels, const TrainingStep& step);
  /// Loss (cross-entropy, no smoothing) and hits with the statistics learnt so far.
  Score evaluate(const Pixels& pixels);

  /// Weights and batch-norm statistics: copies, by parameter name.
  std::map<std::string, Tensor> weights() const;
  /// The momentum, by parameter name.
  std::map<std::string, Tensor> velocity() const;
  /// Goes back to earlier states. Throws Error when a tensor is missing or has another shape.
  void restore(const std::map<std::string, Tensor>& weights, const std::map<std::string, Tensor>& velocity);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A network that was trained: class probabilities, a backbone file. Immutable; any number of threads.
class TrainedNetwork {
 public:
  /// Throws Error naming the tensor that is missing or has another shape.
  TrainedNetwork(Architecture architecture, const std::map<std::string, Tensor>& weights);
  TrainedNetwork(TrainedNetwork&&) noexcept;
  ~TrainedNetwork();

  /// `images`: n x 3 x height x width, normalised; writes n x classes probabilities.
  void predict(const float* images, std::size_t n, int height, int width, float* out) const;
  /// Writes the network without its classifier as TorchScript.
  void save_extractor(const std::string& path) const;
  const Architecture& architecture() const;
  /// Number of trained values.
  std::int64_t parameters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace graft
