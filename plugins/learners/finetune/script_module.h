#pragma once

#include <torch/script.h>

#include <memory>

#include <network/engine.h>

#include "probe.h"

namespace graft {

/// A module around a TorchScript model, which it shares: forward gives the model's value as vectors
/// [n,features], averaged over height and width where it has these. The model lies at `backbone`. Throws
/// Error where forward gives no tensor.
torch::jit::Module script_features(const torch::jit::Module& backbone);

/// The same with a linear classifier of its own, at kHead, and before it a product with a mask, at
/// kHeadDropout, where `dropout`.
torch::jit::Module script_with_head(const torch::jit::Module& backbone, const LinearHead& head, bool dropout);

/// Runs a module layer by layer on one thread for each call.
std::unique_ptr<nn::Engine> script_engine(const torch::jit::Module& module, int batch);

}  // namespace graft
