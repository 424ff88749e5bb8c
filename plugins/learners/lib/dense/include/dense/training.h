#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include <graft/predictor.h>
#include <graft/value.h>

#include <dense/examples.h>
#include <dense/network.h>
#include <dense/schedule.h>
#include <dense/trainer.h>
#include <metrics/score.h>

namespace graft::dense {

struct TrainingOptions {
  TrainerOptions trainer;
  Schedule schedule;            ///< Laid out for `epochs`.
  std::int64_t epochs = 50;     ///< Passes over the rows, at most.
  std::int64_t stop_after = 0;  ///< Epochs that are done of the schedule; 0: all.
  std::size_t batch = 128;      ///< Rows of a step, at most.
  double mixup = 0;             ///< Alpha of the weights; 0: off.
  metrics::Criterion monitor = metrics::Criterion::Accuracy;  ///< What on val makes an epoch the best.
  std::size_t classes = 0;     ///< Of the problem, with or without an output; 0: as many as outputs.
  std::int64_t patience = 10;  ///< Epochs without an improvement after which training stops; 0: never.
  double min_delta = 0;        ///< An improvement is larger than this.
  std::uint64_t seed = 0;
  std::function<void(const Value& point, std::int64_t epochs)> epoch_ended =
      {};  ///< For progress; of `curve`.
};

/// Of probabilities, without smoothing and class weights, on at least one row; Sigmoid: of several labels. A
/// class without an output has probability 0. `classes`: of the problem; 0: as many as there are outputs.
metrics::Score measure(const Network& network, Loss::Kind kind, const Examples& examples, std::size_t classes,
                       Parallel& parallel);

struct TrainingResult {
  std::int64_t epochs = 0;      ///< That were trained.
  std::int64_t best_epoch = 0;  ///< Counted from 1; the last one where there is no val.
  metrics::Score val;           ///< At the best epoch.
  Value curve = Value::list();  ///< Per epoch: epoch, learning_rate, train_loss, val_accuracy, val_log_loss.
};

/// Trains a network from the weights that it has, on at least one row, and leaves it with those of the epoch
/// that was best on val. `val` may be null or empty: the last epoch stays then.
///
/// Rows come in a new order every epoch (RowOrder), in batches of nearly equal size. Mixup (Zhang et al.
/// 2018, arXiv:1710.09412) on features as the network sees them: one weight per batch from Beta(a, a), each
/// row paired with one of a permutation of the batch. The same bits for any number of threads, and whether or
/// not the rows are in memory.
///
/// Throws Error when the loss is no longer finite. An Interruptible stops it within a step.
TrainingResult train(Network& network, const Examples& train, const Examples* val,
                     const TrainingOptions& options, Parallel& parallel);

}  // namespace graft::dense
