#pragma once

#include <torch/script.h>

#include <cstdint>
#include <span>

#include <metrics/score.h>

#include <training/pixels.h>

namespace graft::training {

/// What a network should say of these images: the number of the right output, int64 [n], -100 where there is
/// none for it; with `several` 0 or 1 for each output, float [n,outputs].
at::Tensor targets_of(const Pixels& pixels, std::span<const std::uint32_t> which, std::int64_t outputs,
                      bool several);

/// How a loss is bent in training.
struct LossOptions {
  double label_smoothing =
      0;                   ///< Share s of the target that is spread over all outputs; of 0 or 1: over both.
  double temperature = 1;  ///< Logits are divided by it.
};

/// Summed over the images. Int64 targets: cross-entropy of the softmax, with the target
/// (1 - s) * onehot + s / outputs (Szegedy et al. 2015, arXiv:1512.00567). Float targets: binary
/// cross-entropy of each output, summed over them, with the target (1 - s) * y + s / 2. An image without a
/// right output counts nothing.
at::Tensor loss_of(const at::Tensor& logits, const at::Tensor& targets, const LossOptions& options = {});

/// The scores of the network's probabilities, as `evaluate` reports them. An image without a right output is
/// of a class with probability 0.
metrics::ScoreSum score_of(const at::Tensor& logits, const at::Tensor& targets);

/// Images whose most probable output is the right one; of several labels, images of which each output is on
/// the right side of one half.
std::size_t hits(const at::Tensor& logits, const at::Tensor& targets);

}  // namespace graft::training
