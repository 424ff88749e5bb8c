#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <graft/payload.h>

#include <network/architecture.h>

namespace graft::nn {

/// Weights before any training, by path: of convolutions and linear layers He-normal, N(0, 2 / fan-in) (He et
/// al. 2015, arXiv:1502.01852), biases 0, batch-norm the identity. A pure function of the seed and of the
/// paths and shapes.
std::map<std::string, Tensor> initial_weights(const Architecture& architecture, std::uint64_t seed);

/// Those of one tensor, [out, ...]: numbers of the stream that belongs to its path.
void he_normal(float* values, const Shape& shape, std::uint64_t seed, const std::string& path);

}  // namespace graft::nn
