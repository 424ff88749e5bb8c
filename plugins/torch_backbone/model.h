#pragma once

#include <memory>
#include <string>
#include <vector>

#include <graft/params.h>
#include <graft/stage.h>
#include <network/engine.h>

#include <network/normalizer.h>

/// `model`, `architecture`, `sha256`, `untrained`, `init_seed`.
std::vector<graft::ParamSpec> model_parameters();

/// Reads the model that the parameters name. Throws Error for a file of another digest than `sha256`, for
/// weights without an architecture (naming the one that fits), and for weights that do not fit.
graft::nn::Model open_model(const graft::Params& params);

/// `normalize`, or what the architecture was trained with where it is left to that.
graft::Normalizer normalizer_of(const graft::Params& params, const graft::nn::Model& model);

/// `engine`, `precision`, `device`, `threads_per_batch`, `concurrent_batches`.
std::vector<graft::ParamSpec> engine_parameters();

/// The engine that the parameters choose, ready to run, with so many threads for each call. Throws Error for
/// an engine, a device or a tap that is not there.
std::unique_ptr<graft::nn::Engine> make_engine(const graft::StageContext& context,
                                               const graft::nn::Model& model, int threads);
