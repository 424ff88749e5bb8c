#pragma once

namespace graft::image {

/// Whether this processor has AVX2.
inline bool has_avx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") != 0;
#else
  return false;
#endif
}

}  // namespace graft::image
