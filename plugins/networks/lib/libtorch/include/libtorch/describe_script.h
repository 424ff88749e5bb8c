#pragma once

#include <optional>

#include <network/torch_service.h>

namespace graft::libtorch {

/// Reads the graph of a TorchScript file as an architecture: convolutions, batch-norm, the activations, sums
/// and pools that nn::Op has, zero padding in front of convolutions, flatten and linear layers. Layers have
/// the names of the modules that call them, and blocks those of the modules around these; where the file does
/// not say, layers are named by what they do. Nothing when the file holds any other operation, control flow,
/// or numbers that are not float32. `options.taps` and `options.forget` count. Throws Error for a file that
/// cannot be loaded.
std::optional<nn::Described> describe_script(const nn::Model& torchscript, const nn::EngineOptions& options);

}  // namespace graft::libtorch
