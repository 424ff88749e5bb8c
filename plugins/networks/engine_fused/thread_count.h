#pragma once

#include <omp.h>

namespace graft::fused {

/// How many threads oneDNN may use for calls of this thread, until the end of the scope. Other libraries keep
/// their own number in the same place.
class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(omp_get_max_threads()) {
    if (before_ != threads) omp_set_num_threads(threads);
  }
  ~ThreadCount() { omp_set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

}  // namespace graft::fused
