#pragma once

#include <torch/script.h>

#include <atomic>
#include <memory>
#include <string>

#include <libtorch/program.h>

namespace graft::libtorch {

/// Where a network runs: the CPU, or a GPU through CUDA.
///
/// On a GPU, images travel through pinned memory in channels-last order; each calling thread has a stream of
/// its own, so that several batches are in flight; and a batch that does not fit into the GPU's memory is cut
/// into halves, again and again, and smaller parts are used from then on.
class Device {
 public:
  /// "cpu", "cuda", "cuda:1", or "auto": a GPU when LibTorch sees one. Throws Error, listing what is
  /// available, for a device that is not there.
  explicit Device(const std::string& name);

  bool is_cpu() const { return device_.is_cpu(); }

  /// Moves the tensors of an unfrozen module there; on the CPU they stay.
  torch::jit::Module place(torch::jit::Module module) const;

  /// Runs a program on images that are on the CPU, as numbers of `type`. Results are on the CPU.
  c10::IValue run(const Program& program, const at::Tensor& images, at::ScalarType type) const;

 private:
  c10::IValue run_parts(const Program& program, const at::Tensor& images, at::ScalarType type) const;

  at::Device device_;
  std::shared_ptr<std::atomic<std::int64_t>> part_;  ///< Images that fit at a time.
};

}  // namespace graft::libtorch
