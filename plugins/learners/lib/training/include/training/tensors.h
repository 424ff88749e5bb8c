#pragma once

#include <torch/script.h>

#include <map>
#include <string>

#include <graft/payload.h>

#include <training/named_tensors.h>

namespace graft::training {

/// A float tensor in the logical order of its elements, whatever its memory format.
Tensor copy_of(const at::Tensor& in);

/// Copies the tensor of that name into `to`. Throws Error when it is missing or has another shape.
void fill(const std::string& name, const at::Tensor& to, const std::map<std::string, Tensor>& from);

/// By path, in the order in which they were registered.
NamedTensors parameters_of(const torch::jit::Module& module);
NamedTensors buffers_of(const torch::jit::Module& module);

/// oneDNN's convolutions are a fifth faster where channels are the innermost dimension of all that they see.
void use_channels_last(const torch::jit::Module& module);

/// Makes `module` use the parameters of `master`, which has the same children and perhaps more, and the
/// batch-norm statistics where `statistics`.
void share(const torch::jit::Module& master, torch::jit::Module module, bool statistics);

}  // namespace graft::training
