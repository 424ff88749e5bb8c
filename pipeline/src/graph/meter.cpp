#include "graph/meter.h"

namespace graft {

std::size_t Meter::slot() {
  static std::atomic<std::size_t> next{0};
  thread_local std::size_t mine = next.fetch_add(1, std::memory_order_relaxed) % kSlots;
  return mine;
}

Meter::Counts Meter::counts(std::size_t stage) const {
  Counts sum;
  for (const Cell& c : cells_[stage]) {
    sum.entered += c.entered.load(std::memory_order_relaxed);
    sum.started += c.started.load(std::memory_order_relaxed);
    sum.finished += c.finished.load(std::memory_order_relaxed);
    sum.rejected += c.rejected.load(std::memory_order_relaxed);
    sum.busy_ns += c.busy_ns.load(std::memory_order_relaxed);
    sum.entered_at_ns += c.entered_at_ns.load(std::memory_order_relaxed);
    sum.started_at_ns += c.started_at_ns.load(std::memory_order_relaxed);
  }
  return sum;
}

}  // namespace graft
