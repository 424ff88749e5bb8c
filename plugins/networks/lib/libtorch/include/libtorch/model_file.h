#pragma once

#include <torch/script.h>

#include <cstdint>
#include <string>

namespace graft::libtorch {

/// Loads a TorchScript archive on the CPU, in eval mode. Throws Error, in one line, when the file is missing,
/// is no TorchScript, is truncated or damaged, or has no `forward` that takes one tensor. TorchScript is
/// code: load only files that you trust.
torch::jit::Module load_torchscript(const std::string& path);

/// To add to an error of a model that fails for images of float32: " (its weights are Half, ...)", with what
/// to do. Empty: its parameters and constants are float32.
std::string cure_for_type(const torch::jit::Module& module);

/// What is wrong with a value that is no features, since its elements are no floating-point numbers.
std::string not_features(const at::Tensor& value);

/// Forgets what a model has learnt: weights of convolutions and linear layers become He-normal, N(0, 2 /
/// fan-in) (He et al. 2015, arXiv:1502.01852), biases 0, normalisation layers the identity. A pure function
/// of `seed` and the parameters' names and shapes. Throws Error when the model has no parameters left to set.
void forget(torch::jit::Module& module, std::uint64_t seed);

}  // namespace graft::libtorch
