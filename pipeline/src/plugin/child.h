#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>

#include <graft/export.h>

namespace graft {

/// A function that runs in a process of its own, so that whatever it does, this one lives on. The child is a
/// fork: it sees all that this process has, its output goes nowhere, and it is killed with whatever it
/// started when it takes too long or when this process ends. For use before threads are started.
class GRAFT_API Child {
 public:
  /// `body` writes what it has to say to the descriptor that it is given, and may exec.
  explicit Child(const std::function<void(int)>& body);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  struct End {
    std::string said;  ///< All that the body wrote, at most 16 MiB.
    std::string how;   ///< Empty when the body returned; else "a crash (Segmentation fault)", ...
  };
  /// Waits until `limit` from its start.
  End wait(std::chrono::milliseconds limit);

 private:
  pid_t pid_ = -1;
  int from_ = -1;
  const std::chrono::steady_clock::time_point started_;
};

}  // namespace graft
