#pragma once

#include <map>
#include <string>
#include <vector>

#include <graft/payload.h>
#include <network/architecture.h>

namespace graft::fused {

/// A network by plain loops, in double: what kernels are compared with. `image`: 3 x height x width. Gives
/// the value of each layer named in `outputs`.
std::vector<std::vector<double>> reference(const nn::Architecture& network,
                                           const std::map<std::string, Tensor>& weights,
                                           const std::vector<float>& image, int height, int width,
                                           const std::vector<std::string>& outputs);

}  // namespace graft::fused
