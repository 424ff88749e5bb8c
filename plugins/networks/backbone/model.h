#pragma once

#include <memory>
#include <vector>

#include <graft/params.h>
#include <graft/stage.h>
#include <network/engine.h>
#include <network/open_model.h>

#include "tap_plan.h"

/// A model, and what is taken of it.
struct OpenedModel {
  graft::nn::Model model;
  TapPlan taps;
};

/// Reads the model that the parameters name, as far as its taps want it. Throws Error as nn::open_model and
/// plan_taps do.
OpenedModel open_model(const graft::Params& params);

/// `engine`, `precision`, `device`, `threads_per_batch`, `concurrent_batches`.
std::vector<graft::ParamSpec> engine_parameters();

/// The engine that the parameters choose, ready to run, with so many threads for each call. Throws Error for
/// an engine, a device or a tap that is not there.
std::unique_ptr<graft::nn::Engine> make_engine(const graft::StageContext& context, const OpenedModel& opened,
                                               int threads);
