#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>

#include <graft/export.h>

namespace graft {

/// A function that runs in a separate process, so that its crash does not end this one. The child is a fork:
/// it sees the memory of this process, its output is discarded, and it is killed, with all processes that it
/// started, when it takes too long or when this process ends. For use before threads are started.
class GRAFT_API Child {
 public:
  /// `body` writes its result to the given descriptor, and may exec.
  explicit Child(const std::function<void(int)>& body);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  struct End {
    std::string said;  ///< All that the body wrote, at most 16 MiB.
    std::string how;   ///< Empty when the body returned; else "a crash (Segmentation fault)", ...
  };
  /// Waits until it has computed or slept for `limit`. Time in which it waits for a processor or for the disk
  /// does not count: on a busy machine it is late, not hanging. Ten times the limit at most.
  End wait(std::chrono::milliseconds limit);

 private:
  pid_t pid_ = -1;
  int from_ = -1;
  const std::chrono::steady_clock::time_point started_;
};

}  // namespace graft
