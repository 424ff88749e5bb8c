#pragma once

#include <graft/cpu_isa.h>

// Loops that the compiler makes twice, with AVX2 and without: none of them has a product whose rounding a
// fused multiply-add could change, so both give the same bits.
#define GRAFT_INLINE [[gnu::always_inline]] inline
#if defined(__x86_64__)
#define GRAFT_AVX2 [[gnu::target("avx2")]]
#else
#define GRAFT_AVX2
#endif
