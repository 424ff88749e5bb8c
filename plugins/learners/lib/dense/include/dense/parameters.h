#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <graft/params.h>

#include <dense/training.h>

namespace graft::dense {

/// Parameters of a stage that say how a network is trained: `epochs`, `batch`, `optimizer`, `learning_rate`,
/// `momentum`, `weight_decay`, `schedule`, `warmup_epochs`, `drops`, `drop_factor`, `dropout`,
/// `input_dropout`, `label_smoothing`, `mixup`, `monitor`, `patience`, `min_delta`.
std::vector<ParamSpec> training_parameters();

/// From resolved parameters; what is left out takes the optimizer's own default. The loss has neither kind
/// nor class weights yet. Throws Error when parameters contradict each other.
TrainingOptions training_options(const Params& params, std::uint64_t seed);

/// Ascending, each once; the optimizer's own default when left out. training_options has the first.
std::vector<double> weight_decays(const Params& params);

/// For TrainerOptions: `input_dropout` for the features, `dropout` for the outputs of hidden layers.
std::vector<double> dropout_of(const Params& params, std::size_t layers);

}  // namespace graft::dense
