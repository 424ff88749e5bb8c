#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "architecture.h"
#include "fit.h"
#include "weight_file.h"

namespace graft::nn {

/// Trained tensors by the path of the parameter (`layer1.0.conv1.weight`), float32, for every layer that the
/// outputs need. Throws Error as check_fit does, and for values that are not finite.
std::map<std::string, Tensor> bind(const Architecture& architecture, const WeightFile& file,
                                   const std::vector<std::string>& outputs = {});

/// Throws Error with the path of the file, in one message for all that does not fit, naming the architecture
/// that fits better where there is one, and what to do.
void check_fit(const Architecture& architecture, const WeightFile& file,
               const std::vector<std::string>& outputs = {});

/// Channels that the first layer of a file's network takes, where it is not what images have.
std::optional<std::int64_t> other_channels(const Architecture& architecture, const Fit& fit);

/// What to do about a fit that is not complete.
std::string cure(const Architecture& architecture, const WeightFile& file, const Fit& fit);

}  // namespace graft::nn
