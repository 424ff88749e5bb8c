#pragma once

#include <torch/script.h>

#include <functional>
#include <memory>

#include <network/engine.h>

namespace graft::libtorch {

/// The two engines of LibTorch. Both throw Error when the model cannot be loaded, the device is not there, or
/// a tap is unknown.
///
/// The reference: the network as it stands, layer by layer, by LibTorch's interpreter.
std::unique_ptr<nn::Engine> make_torch_engine(const nn::Model& model, nn::EngineOptions options);

/// Optimises a frozen module.
using Optimise = std::function<torch::jit::Module(const torch::jit::Module& frozen)>;

/// The fast one: batch-norm and padding folded into convolutions, activations and residual sums fused with
/// them, oneDNN's blocked layout from end to end, weights packed once. Its features are within 1e-4 of the
/// reference's largest (fp32). The first batch of each image size is preceded by a comparison with the
/// reference, image by image (nn::EngineCheck); when they disagree (LibTorch's optimiser has bugs), the
/// reference is used for that size and `warn` is called. `optimise` takes the optimiser's place, for tests
/// of that comparison.
///
/// Both throw Error from run if the features of an image depend on the other images.
std::unique_ptr<nn::Engine> make_fused_engine(const nn::Model& model, nn::EngineOptions options,
                                              const Optimise& optimise = {});

}  // namespace graft::libtorch
