#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <graft/stage.h>
#include <graft/value.h>
#include <network/engine.h>

/// How the threads of a run share its batches: so many at once, so many threads for each.
struct BatchPlan {
  int threads_per_batch = 1, concurrent_batches = 1;
  graft::Value facts;  ///< What was chosen and why, for the manifest.
};

/// An engine, and how many calls of it may run at once.
struct PlannedEngine {
  std::unique_ptr<graft::nn::Engine> engine;
  BatchPlan plan;
};

/// Takes what the parameters `threads_per_batch` and `concurrent_batches` say. When they are left out, all
/// ways to share the threads evenly are tried on noise, where that is worth it: on a CPU, with images of a
/// known size, and so many of them that the trial is a small part of the run. One thread per batch is kept
/// unless another way is a tenth faster. `usual_side`: of the images that the network was trained on, taken
/// if the config does not specify the size. `make` makes an engine that uses this many threads per call.
PlannedEngine plan_batches(const graft::StageContext& context, std::optional<int> usual_side,
                           const std::function<std::unique_ptr<graft::nn::Engine>(int threads)>& make);
