#pragma once

#include <torch/script.h>

#include <map>
#include <string>
#include <vector>

#include <graft/payload.h>
#include <network/architecture.h>

namespace graft {

/// Makes the TorchScript module of a network: parameters and buffers at their paths, uninitialised but for
/// the statistics of batch-norm, and a `forward` generated from the layers: [n,3,h,w] -> the value of the
/// last layer; with `outputs`, names of layers, a tuple of theirs, and only the layers that these need. It
/// can be trained, saved, frozen and fused like any other TorchScript module. Throws Error for an output that
/// is none.
torch::jit::Module make_module(const nn::Architecture& architecture,
                               const std::vector<std::string>& outputs = {});

/// Copies float tensors to their paths. Throws Error naming a path that the module lacks or a wrong shape.
void set_tensors(const torch::jit::Module& module, const std::map<std::string, Tensor>& tensors);

}  // namespace graft
