#pragma once

#include <cstdint>

#include <graft/export.h>

namespace graft {

/// Memory that a call works in, beside the items that it takes and gives: an image before it shrinks, the
/// coefficients of a progressive JPEG. All calls together hold at most `run.memory` of it: where more would
/// be held, the constructor waits until other threads have let go of theirs. A call that needs more than that
/// alone is let through when nobody else holds any. For what may be large; made before the memory is
/// allocated, and one at a time in a thread. Any thread.
class GRAFT_API Scratch {
 public:
  explicit Scratch(std::uint64_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

 private:
  const std::uint64_t bytes_;
};

/// What all may hold together, in bytes; without a limit before the first call. Set by a run when it begins.
GRAFT_API void limit_scratch(std::uint64_t bytes);

}  // namespace graft
