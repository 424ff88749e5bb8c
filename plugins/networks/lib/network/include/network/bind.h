#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <network/architecture.h>
#include <network/weight_file.h>
#include <network/weight_fit.h>

namespace graft::nn {

/// Trained tensors by the path of the parameter (`layer1.0.conv1.weight`), float32, for every layer that the
/// outputs need. Throws Error as check_fit does, for values that are not finite, and for variances that are
/// not greater than zero.
std::map<std::string, Tensor> bind(const Architecture& architecture, const WeightFile& file,
                                   const std::vector<std::string>& outputs = {});

/// Throws Error with the path of the file, in one message for all tensors that do not fit, with the
/// architecture that fits better, if there is one, and a fix.
void check_fit(const Architecture& architecture, const WeightFile& file,
               const std::vector<std::string>& outputs = {});

/// Channels that the first layer of a file's network takes, if images have another number.
std::optional<std::int64_t> other_channels(const Architecture& architecture, const Fit& fit);

/// A fix for a fit that is not complete.
std::string cure(const Architecture& architecture, const WeightFile& file, const Fit& fit);

}  // namespace graft::nn
