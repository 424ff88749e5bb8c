#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "base/files.h"
#include "config/plan.h"

namespace graft {

/// Reads files of inputs before the workers come to them, on threads of its own, so that a file system that
/// is slow to answer does not keep processors waiting. By itself (`run.read_ahead: auto`) it begins when
/// reading a file has taken 2 ms on average: where files come from memory or a fast disk, other threads would
/// only cost time.
///
/// What is read ahead is bounded by two files for each thread, and by half of `run.memory`.
class GRAFT_API ReadAhead {
 public:
  /// Both must outlive it.
  ReadAhead(const RunSettings& settings, const std::atomic<bool>& interrupted);
  /// Waits for the reads that are on their way; those that have not begun are dropped.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  /// Begins where the settings name a number of threads.
  void begin_if_asked();
  /// How many inputs are to be looked at before they are needed; 0: it has not begun.
  std::size_t depth() const;

  /// The content of a file, or the Reject that reading it gives, some time later. Invalid where it is not
  /// read ahead: it is off, or too much is waiting already. Any thread.
  std::future<Bytes> start(const FileRef& file);
  /// The content, from `ahead` where that is valid, else read now. Throws Reject. Any thread.
  Bytes take(const FileRef& file, std::future<Bytes>& ahead);

 private:
  struct Job {
    FileRef file;
    std::promise<Bytes> done;
  };
  void begin();
  void work();
  void note_time(double seconds);

  const RunSettings& settings_;
  const std::atomic<bool>& interrupted_;
  std::atomic<bool> begun_{false};
  std::atomic<std::uint64_t> bytes_{0};  // of what waits or is being read, or was read and not taken
  std::mutex mutex_;                     // of what follows
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
  std::size_t reads_ = 0;  // that workers have timed
  double seconds_ = 0;     // that these took
};

}  // namespace graft
