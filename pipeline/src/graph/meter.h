#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

#include <graft/export.h>

#include "graph/trace.h"

namespace graft {

/// Per-stage counters of a running graph. Written by workers without contention (a cell per worker), read by
/// the progress line, the watchdog and the manifest. Times go into a trace, too, where there is one.
class GRAFT_API Meter {
 public:
  struct Counts {
    std::uint64_t entered = 0;   ///< Items that reached the stage.
    std::uint64_t started = 0;   ///< Items whose call has begun.
    std::uint64_t finished = 0;  ///< Items whose call has ended, rejected ones too.
    std::uint64_t rejected = 0;
    std::uint64_t busy_ns = 0;
    /// Sum over items of the times at which they came and at which their call began; they may wrap around.
    std::uint64_t entered_at_ns = 0, started_at_ns = 0;

    std::uint64_t queued() const { return entered > started ? entered - started : 0; }
    /// How long items have waited for their batch and for a thread, all together; 0 while some wait.
    std::uint64_t waited_ns() const { return entered == started ? started_at_ns - entered_at_ns : 0; }
    std::uint64_t running() const { return started > finished ? started - finished : 0; }
  };

  using Clock = Trace::Clock;

  explicit Meter(std::size_t stages) : cells_(stages) {}

  /// Before the graph starts; the trace must outlive it.
  void write_to(Trace* trace) { trace_ = trace; }
  Trace* trace() const { return trace_; }

  /// Of a stage that items do not wait for.
  void enter_and_start(std::size_t stage) {
    Cell& c = cell(stage);
    add(c.entered, 1);
    add(c.started, 1);
  }
  void enter(std::size_t stage, Clock::time_point at) {
    Cell& c = cell(stage);
    add(c.entered, 1);
    add(c.entered_at_ns, ns_of(at));
  }
  void start(std::size_t stage, std::uint64_t n, Clock::time_point at) {
    Cell& c = cell(stage);
    add(c.started, n);
    add(c.started_at_ns, n * ns_of(at));
  }
  void finish(std::size_t stage, std::uint64_t n, std::uint64_t rejected, Clock::time_point begin,
              Clock::time_point end) {
    Cell& c = cell(stage);
    add(c.finished, n);
    if (rejected != 0) add(c.rejected, rejected);
    add(c.busy_ns, static_cast<std::uint64_t>(
                       std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count()));
  }
  /// Of one item, by its sequence number.
  void finish_item(std::size_t stage, std::uint64_t item, std::uint32_t view, bool rejected,
                   Clock::time_point begin, Clock::time_point end) {
    finish(stage, 1, rejected ? 1 : 0, begin, end);
    if (trace_ != nullptr) trace_->add_item(stage, begin, end, item, view, rejected);
  }
  Counts counts(std::size_t stage) const;
  std::size_t stages() const { return cells_.size(); }

 private:
  static constexpr std::size_t kSlots = 32;
  struct alignas(64) Cell {
    std::atomic<std::uint64_t> entered{0}, started{0}, finished{0}, rejected{0}, busy_ns{0}, entered_at_ns{0},
        started_at_ns{0};
  };
  static void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) {
    counter.fetch_add(n, std::memory_order_relaxed);
  }
  static std::uint64_t ns_of(Clock::time_point t) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count());
  }
  static std::size_t slot();
  Cell& cell(std::size_t stage) { return cells_[stage][slot()]; }

  std::vector<std::array<Cell, kSlots>> cells_;
  Trace* trace_ = nullptr;
};

}  // namespace graft
