#pragma once

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace graft {

// TBB's scheduler is not instrumented: ThreadSanitizer does not see that it orders what one thread did before
// it put a message with what another does after it took it. These two declare that order; without the
// sanitizer they do nothing.

/// The calling thread is done with what `object` leads to, and passes it to TBB.
inline void tsan_release([[maybe_unused]] const void* object) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(const_cast<void*>(object));
#endif
}

/// The calling thread was given `object` by TBB.
inline void tsan_acquire([[maybe_unused]] const void* object) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(const_cast<void*>(object));
#endif
}

}  // namespace graft
