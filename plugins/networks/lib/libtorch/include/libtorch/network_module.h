#pragma once

#include <torch/script.h>

#include <map>
#include <string>
#include <vector>

#include <graft/payload.h>
#include <network/architecture.h>

namespace graft::libtorch {

/// Makes the TorchScript module of a network: parameters and buffers at their paths, uninitialised but for
/// the statistics of batch-norm, and a `forward` generated from the layers: [n,3,h,w] -> the value of the
/// last layer; with `outputs`, names of layers, a tuple of theirs, and only the layers that these need.
/// Dropout is the identity. It can be saved, frozen and fused like any other TorchScript module. Throws Error
/// for an output that is not one.
torch::jit::Module make_module(const nn::Architecture& architecture,
                               const std::vector<std::string>& outputs = {});

/// The same for training. torch.dropout draws from a generator that all threads share, so dropout layers
/// multiply with a tensor that the caller makes, [n, values]: set_mask. Until then it is 1.
/// `bf16`: in operations that LibTorch 1.13 can differentiate in bfloat16, too.
torch::jit::Module make_training_module(const nn::Architecture& architecture, bool bf16 = false);

/// Sets what the dropout layer at `path` of a training module multiplies with.
void set_mask(const torch::jit::Module& module, const std::string& path, const at::Tensor& mask);

/// Copies float tensors to their paths, whatever their memory format there. Throws Error naming a path that
/// the module lacks or a wrong shape.
void set_tensors(const torch::jit::Module& module, const std::map<std::string, Tensor>& tensors);

}  // namespace graft::libtorch
