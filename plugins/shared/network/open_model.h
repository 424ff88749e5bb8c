#pragma once

#include <functional>
#include <string>
#include <vector>

#include <graft/params.h>

#include "engine.h"
#include "normalizer.h"

namespace graft::nn {

/// The parameters of every stage that takes a pretrained network: `model`, `architecture`, `sha256`,
/// `untrained`, `init_seed`.
std::vector<ParamSpec> model_parameters();

/// The layers whose values a stage wants of a network; what they do not need is not read.
using Outputs = std::function<std::vector<std::string>(const Architecture&)>;

/// Reads the model that the parameters name. `untrained` has been seen to for a described network; a
/// TorchScript file is left to who loads it. Throws Error for a file of another digest than `sha256`, for
/// weights without an architecture (naming the one that fits), and for weights that do not fit.
Model open_model(const Params& params, const Outputs& outputs);

/// Throws Error when `model` is a file of another digest than `sha256`, or that is no digest.
void check_pinned(const Params& params);

/// The preset of `normalize` that `auto` stands for.
std::string preset_of(const Model& model);
/// `normalize`, or what the architecture was trained with where it is left to that.
Normalizer normalizer_of(const Params& params, const Model& model);

}  // namespace graft::nn
