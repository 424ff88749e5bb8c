#pragma once

#include <ATen/autocast_mode.h>
#include <torch/version.h>

/// LibTorch of version 1.13 to 2.6, whose calls differ: all that differs is here.
namespace graft::libtorch {

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)

/// Whether products on the CPU are cast to bf16, on the calling thread.
inline void set_cpu_autocast(bool on) {
  if (on) at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCPU, on);
}

#else

inline void set_cpu_autocast(bool on) {
  if (on) at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
  at::autocast::set_cpu_enabled(on);
}

#endif

}  // namespace graft::libtorch
