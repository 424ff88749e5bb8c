#pragma once

namespace graft::test {

/// AddressSanitizer or ThreadSanitizer is built in: they take memory, address space and time of their own,
/// and answer crashes in the place of the program.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace graft::test
