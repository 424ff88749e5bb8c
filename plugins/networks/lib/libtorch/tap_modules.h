#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

namespace graft::libtorch {

/// A copy of a TorchScript module whose `forward` returns a tuple: what the submodules at these paths gave,
/// in this order. "layer2", "features.4". A submodule that is called several times counts with its last call.
/// Throws Error for a path that forward does not call, with the nearest one and those there are.
///
/// Names of submodules are lost when a module is frozen: `module` must not be.
torch::jit::Module tap_modules(const torch::jit::Module& module, const std::vector<std::string>& paths);

}  // namespace graft::libtorch
