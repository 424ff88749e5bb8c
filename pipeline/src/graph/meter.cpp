#include "graph/meter.h"

namespace graft {

namespace {

// A slot's number and 1; in every item's way several times, hence not through a guard.
__attribute__((tls_model("initial-exec"))) thread_local std::size_t t_meter_slot = 0;

}  // namespace

std::size_t Meter::slot() {
  static std::atomic<std::size_t> next{0};
  if (t_meter_slot == 0) t_meter_slot = next.fetch_add(1, std::memory_order_relaxed) % kSlots + 1;
  return t_meter_slot - 1;
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
