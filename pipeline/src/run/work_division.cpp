#include "run/work_division.h"

namespace graft {
namespace {

constexpr double kStalledSeconds = 30;
/// Before that, a rate says nothing: models are loaded, the first batch is on its way.
constexpr double kStartSeconds = 15;

}  // namespace

WorkerOutlook outlook(const WorkerRecord& worker, const SlotOwners& owners) {
  using State = WorkerOutlook::State;
  WorkerOutlook out;
  const SlotSet owned = owners.owned_by(worker.attempt);
  out.open = owned & ~worker.done;
  const SlotSet counted = worker.done | worker.open;
  std::uint64_t open_finished = 0;
  for (std::size_t slot = counted._Find_first(), i = 0; slot < kSlots; slot = counted._Find_next(slot), ++i) {
    if (!owned[slot] || i >= worker.finished.size()) continue;
    out.finished += worker.finished[i];
    out.rejected += worker.rejected[i];
    if (out.open[slot]) open_finished += worker.finished[i];
  }
  if (out.open.none()) return out;
  out.state = !worker.alive ? State::Gone : worker.silent > kStalledSeconds ? State::Stalled : State::Running;
  // Listed were the slots that were open when it wrote that.
  const double open = static_cast<double>(out.open.count());
  const double then = std::max(1.0, static_cast<double>(worker.open.count()));
  const double expected = worker.all_listed || worker.total == 0
                              ? static_cast<double>(worker.open_listed) * std::min(1.0, open / then)
                              : static_cast<double>(worker.total) * open / static_cast<double>(kSlots);
  out.remaining = std::max(0.0, expected - static_cast<double>(open_finished));
  if (out.state == State::Running && worker.rate > 0) out.seconds = out.remaining / worker.rate;
  return out;
}

SlotSet slots_to_take(const std::map<std::string, WorkerRecord>& workers, const SlotOwners& owners,
                      const std::string& self, double least_seconds) {
  using State = WorkerOutlook::State;
  SlotSet best;
  double most = least_seconds;
  for (const auto& [attempt, worker] : workers) {
    if (attempt == self) continue;
    const WorkerOutlook theirs = outlook(worker, owners);
    if (theirs.state == State::Gone || theirs.state == State::Stalled) return theirs.open;
    if (theirs.state == State::Done) continue;
    // One that has been at it for a while and has finished nothing yet is as slow as can be.
    if (!theirs.seconds && worker.seconds < kStartSeconds) continue;
    const double seconds = theirs.seconds.value_or(std::max(worker.seconds, 2 * least_seconds));
    if (seconds <= most) continue;
    const SlotSet half = upper_half(theirs.open);
    if (half.none()) continue;
    most = seconds;
    best = half;
  }
  return best;
}

SlotSet slots_to_begin_with(const WorkShard& shard, const std::map<std::string, WorkerRecord>& workers,
                            const SlotOwners& owners) {
  SlotSet slots = shard.slots();
  for (const auto& [attempt, worker] : workers)
    if (outlook(worker, owners).state == WorkerOutlook::State::Running) slots &= ~owners.owned_by(attempt);
  return slots;
}

}  // namespace graft
