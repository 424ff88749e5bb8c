#pragma once

#include <memory>

#include <network/engine.h>

namespace graft {

/// The two engines of LibTorch. Both throw Error when the model cannot be loaded, the device is not there, or
/// a tap is unknown.
///
/// The reference: the network as it stands, layer by layer, by LibTorch's interpreter.
std::unique_ptr<nn::Engine> make_torch_engine(const nn::Model& model, nn::EngineOptions options);

/// The fast one: batch-norm and padding folded into convolutions, activations and residual sums fused with
/// them, oneDNN's blocked layout from end to end, weights packed once. Its features are within 1e-4 of the
/// reference's largest (fp32). The first batch of each image size is preceded by a comparison with the
/// reference; when they disagree (LibTorch's optimiser has bugs), the reference is used for that size and
/// `warn` hears of it.
std::unique_ptr<nn::Engine> make_fused_engine(const nn::Model& model, nn::EngineOptions options);

}  // namespace graft
