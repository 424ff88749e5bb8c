#include "run/work_division.h"

namespace graft {
namespace {

constexpr double kStalledSeconds = 30;
/// Before that, a rate says nothing: models are loaded, the first batch is on its way.
constexpr double kStartSeconds = 15;

/// The counts of `all` for a part of it: exact where that is all or nothing, as nearly always.
SlotCounts part_of(const SlotCounts& counts, const SlotSet& all, const SlotSet& part) {
  if (part.none()) return {};
  const double ratio = static_cast<double>(part.count()) / static_cast<double>(all.count());
  const auto scaled = [&](std::uint64_t n) {
    return static_cast<std::uint64_t>(static_cast<double>(n) * ratio + 0.5);
  };
  return {scaled(counts.listed), scaled(counts.finished), scaled(counts.rejected)};
}

}  // namespace

WorkerOutlook outlook(const WorkerRecord& worker, const SlotOwners& owners) {
  using State = WorkerOutlook::State;
  WorkerOutlook out;
  const SlotSet owned = owners.owned_by(worker.attempt);
  out.open = owned & ~worker.done;
  const SlotCounts open = part_of(worker.open_counts, worker.open, worker.open & owned);
  const SlotCounts done = part_of(worker.done_counts, worker.done, worker.done & owned);
  out.counts = {open.listed + done.listed, open.finished + done.finished, open.rejected + done.rejected};
  if (out.open.none()) return out;
  out.state = !worker.alive ? State::Gone : worker.silent > kStalledSeconds ? State::Stalled : State::Running;
  const double expected = worker.all_listed || worker.total == 0
                              ? static_cast<double>(open.listed)
                              : static_cast<double>(worker.total) * static_cast<double>(out.open.count()) /
                                    static_cast<double>(kSlots);
  out.remaining = std::max(0.0, expected - static_cast<double>(open.finished));
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
