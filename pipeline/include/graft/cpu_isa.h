#pragma once

#include <graft/export.h>

namespace graft {

/// Sets of instructions of x86-64 processors for which there are kernels, each with all of those before it.
/// Processors of other families have Baseline.
enum class CpuIsa {
  Baseline,    ///< x86-64 as it began: SSE2.
  Sse41,       ///< SSE4.1: the least that oneDNN runs on.
  Avx2,        ///< AVX2, FMA, F16C and SSE4.2.
  Avx512,      ///< AVX-512 F, BW, CD, DQ and VL.
  Avx512Bf16,  ///< AVX-512 BF16.
};

/// What kernels may use: what the processor and the operating system have, at most what the environment
/// variable GRAFT_MAX_CPU_ISA names (sse41, avx2 or avx512). The same as long as the process lives. Whoever
/// chooses between kernels asks this function. Any thread.
GRAFT_API CpuIsa cpu_isa();

/// "baseline", "sse41", "avx2", "avx512", "avx512bf16".
GRAFT_API const char* to_string(CpuIsa isa);

}  // namespace graft
