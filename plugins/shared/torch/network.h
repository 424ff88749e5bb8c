#pragma once

#include <torch/script.h>

#include <string>

#include "architecture.h"

namespace graft {

/// Makes the TorchScript module of an architecture: parameters and buffers under the layers' names,
/// uninitialised, and a `forward` generated from the layers, [n,3,h,w] -> [n,classes]. It can be trained,
/// saved, frozen and fused like any other TorchScript module.
torch::jit::Module build_network(const Architecture& architecture);

/// The same network up to `architecture.tap`, in eval mode, [n,3,h,w] -> [n,features], sharing the tensors of
/// `trained`, which must come from build_network of the same architecture.
torch::jit::Module build_extractor(const Architecture& architecture, const torch::jit::Module& trained);

/// Saves a module under a temporary name, then renames: readers see the whole file or none. Throws Error.
void save_torchscript(const torch::jit::Module& module, const std::string& path);

}  // namespace graft
