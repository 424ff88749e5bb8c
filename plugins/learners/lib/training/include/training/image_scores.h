#pragma once

#include <functional>

#include <graft/predictor.h>
#include <network/architecture.h>
#include <network/engine.h>
#include <network/normalizer.h>

namespace graft::training {

/// Images that one thread scores at a time: EngineOptions::batch of the engine below.
constexpr std::size_t kScoredTogether = 32;

/// Scores tables of pixels by a network. Does not own what it refers to.
struct ImageScorer {
  const nn::Engine& engine;              ///< Gives logits, [n,outputs].
  const nn::Architecture* architecture;  ///< Its network; null where it cannot be described.
  const Normalizer& normalizer;
  std::size_t classes;
  int trained_height, trained_width;  ///< For messages, px.
  /// Turns the logits of one image into its row of `classes` scores. Any thread.
  std::function<void(const float* logits, float* scores)> to_scores;

  /// Throws Error for another table and for images that the network does not take.
  Scores score(const RowSet& rows, Parallel& parallel) const;
};

}  // namespace graft::training
