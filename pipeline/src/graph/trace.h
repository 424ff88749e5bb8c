#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include <graft/export.h>

namespace graft {

/// What the threads of a run did, and when: a span per call of a stage. A thread writes to memory of its own,
/// without a lock. All of them together take at most `memory`: the first spans are kept, later ones are
/// counted.
class GRAFT_API Trace {
 public:
  using Clock = std::chrono::steady_clock;
  /// Some 700,000 spans, a file of about 80 MB.
  static constexpr std::size_t kMemory = std::size_t{32} << 20;

  struct Span {
    std::int64_t begin_ns = 0, end_ns = 0;  ///< Since the start of the trace.
    std::uint64_t item = 0;                 ///< Its sequence number; of a batch the position of its list.
    std::uint32_t view = 0;
    std::uint32_t items = 0;  ///< 0: the work of a whole stage, such as a fit; above 1 or `batch`: a list.
    std::uint16_t stage = 0;
    bool batch = false, rejected = false;
  };

  explicit Trace(std::size_t memory = kMemory);
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  void add_item(std::size_t stage, Clock::time_point begin, Clock::time_point end, std::uint64_t item,
                std::uint32_t view, bool rejected);
  void add_batch(std::size_t stage, Clock::time_point begin, Clock::time_point end,
                 std::span<const std::uint64_t> items);
  void add_stage(std::size_t stage, Clock::time_point begin, Clock::time_point end);

  std::int64_t since_start(Clock::time_point t) const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(t - start_).count();
  }

  // Once the threads have ended their work:

  /// Threads that have spans, in the order in which they came; the first is the one that made the trace.
  std::size_t threads() const { return threads_.size(); }
  /// The spans of a thread in the order in which they ended. `items`: of a batch.
  void for_each(
      std::size_t thread,
      const std::function<void(const Span& span, std::span<const std::uint64_t> items)>& visit) const;
  /// Spans for which there was no room.
  std::uint64_t left_out() const;

 private:
  struct Thread;
  Thread& mine();
  void add(Thread& thread, const Span& span);
  bool take(std::size_t bytes);

  const Clock::time_point start_ = Clock::now();
  const std::uint64_t id_;
  std::atomic<std::int64_t> left_;  // bytes
  std::mutex mutex_;                // of the list of threads
  std::deque<std::unique_ptr<Thread>> threads_;
};

}  // namespace graft
