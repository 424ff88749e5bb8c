#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <graft/params.h>
#include <graft/stage.h>

#include <network/engine.h>
#include <network/normalizer.h>

namespace graft::nn {

/// The parameters of every stage that takes a pretrained network: `model`, `architecture`, `rules`, `heads`,
/// `sha256`, `untrained`, `init_seed`.
std::vector<ParamSpec> model_parameters();

/// The layers whose values a stage wants of a network; what they do not need is not read.
using Outputs = std::function<std::vector<std::string>(const Architecture&)>;

/// Reads the model that the parameters name. `untrained` has been seen to for a described network; a
/// TorchScript file is left to who loads it. Throws Error for a file of another digest than `sha256`, for a
/// file that is not a weight file, for weights without an architecture, and for weights that do not fit.
Model open_model(const Params& params, const Outputs& outputs);

/// Checks the same parameters without loading what they name: opens the file as far as its headers, and
/// compares its digest where `sha256` is given. Each error goes to `faults` with its parameter, and
/// what was taken of a checkpoint to `note`. Returns the architecture; nothing for a TorchScript file and for
/// one that is not usable. `outputs` must not throw for an architecture that is known.
std::optional<Architecture> inspect_model(const Params& params, const Outputs& outputs,
                                          const std::function<void(const std::string&)>& note,
                                          std::vector<Inspection::Fault>& faults);

/// The preset of `normalize` that `auto` stands for.
std::string preset_of(const Model& model);
/// The parameter `normalize` with what `auto` stands for in its place.
Value resolved_normalization(const Params& params, const Model& model);
/// `normalize`, or what the architecture was trained with where it is left to that.
Normalizer normalizer_of(const Params& params, const Model& model);

}  // namespace graft::nn
