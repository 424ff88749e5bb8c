#pragma once

/// \file
/// GRAFT_ASSERT(condition) states what always holds unless graft itself has a bug. Never for input, files,
/// plugins or the system: what they do wrong is an Error in every build. On where GRAFT_ASSERTIONS is defined
/// (presets dev, asan, tsan and fuzz): a false condition prints "FILE:LINE: assertion failed: CONDITION" and
/// aborts. Elsewhere the condition is compiled, but not evaluated.

#if defined(GRAFT_ASSERTIONS)

#include <cstdio>
#include <cstdlib>

namespace graft {

[[noreturn]] inline void assertion_failed(const char* file, int line, const char* condition) noexcept {
  std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace graft

#define GRAFT_ASSERT(...) \
  (static_cast<bool>(__VA_ARGS__) ? void() : ::graft::assertion_failed(__FILE__, __LINE__, #__VA_ARGS__))

#else

#define GRAFT_ASSERT(...) static_cast<void>(sizeof(static_cast<bool>(__VA_ARGS__)))

#endif
