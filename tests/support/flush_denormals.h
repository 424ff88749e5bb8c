#pragma once

#ifdef __x86_64__
#include <xmmintrin.h>
#endif

namespace graft::test {

/// What libraries that are linked with -ffast-math do to the thread that loads them: numbers near zero become
/// zero.
inline void flush_denormals() {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined(__aarch64__)
  unsigned long bits = 0;
  __asm__ volatile("mrs %0, fpcr" : "=r"(bits));
  __asm__ volatile("msr fpcr, %0" : : "r"(bits | 1UL << 24));
#endif
}

}  // namespace graft::test
