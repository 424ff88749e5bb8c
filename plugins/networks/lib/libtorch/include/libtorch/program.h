#pragma once

#include <torch/script.h>

#include <string>

namespace graft::libtorch {

/// The forward graph of a TorchScript module, run by the interpreter exactly as it stands.
///
/// Module::forward goes through the profiling executor, which records shapes in the first calls and then runs
/// other kernels (LibTorch 1.13, torch/csrc/jit/runtime/profiling_graph_executor_impl.cpp,
/// getOptimizedPlanFor): the third call may round differently from the first, and each thread may find
/// another state. The interpreter alone has no such memory: equal inputs give equal bits in every call, and
/// any number of threads may call run at once.
///
/// The module's tensors and `training` flags are read at each call, not copied.
class Program {
 public:
  Program() = default;
  explicit Program(const torch::jit::Module& module);

  /// One tensor in, whatever the module returns out. Throws what LibTorch throws.
  c10::IValue run(const at::Tensor& input) const;

 private:
  c10::intrusive_ptr<c10::ivalue::Object> self_;
  torch::jit::Code code_;
};

/// The first line of what LibTorch has to say, without its C++ stack and its TorchScript traceback.
std::string reason(const std::exception& fault);

/// How many threads LibTorch may use for operations that the calling thread starts. Cheap after the first
/// call with the same number.
void use_threads(int threads);
inline void use_one_thread() {
  use_threads(1);
}

}  // namespace graft::libtorch
