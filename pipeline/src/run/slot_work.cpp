#include "run/slot_work.h"

namespace graft {

SlotWork::SlotWork()
    : active_(std::make_unique<std::atomic<std::uint64_t>[]>(kSlots / 64)),
      counts_(std::make_unique<Counts[]>(kSlots)) {}

void SlotWork::begin(const SlotSet& slots) {
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
    if (!slots[slot]) {
      active_[slot / 64] &= ~bit;
      continue;
    }
    counts_[slot].listed = counts_[slot].finished = counts_[slot].rejected = 0;
    active_[slot / 64] |= bit;
  }
  const std::lock_guard lock(mutex_);
  complete_.clear();
}

void SlotWork::keep_only(const SlotSet& owned) {
  for (std::size_t slot = 0; slot < kSlots; ++slot)
    if (!owned[slot]) active_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
}

SlotSet SlotWork::slots() const {
  SlotSet out;
  for (std::size_t slot = 0; slot < kSlots; ++slot)
    if (takes(static_cast<Slot>(slot))) out.set(slot);
  return out;
}

double SlotWork::fraction() const {
  return static_cast<double>(slots().count()) / static_cast<double>(kSlots);
}

void SlotWork::expect(std::size_t source, std::uint64_t entries) {
  const std::lock_guard lock(mutex_);
  if (entries > 0) entries_[source] = entries;
}

void SlotWork::listed_all(std::size_t source, std::uint64_t entries) {
  const std::lock_guard lock(mutex_);
  entries_[source] = entries;
  complete_[source] = true;
}

void SlotWork::count(WorkerRecord& record) const {
  record.finished.clear();
  record.rejected.clear();
  record.open_listed = 0;
  const SlotSet slots = record.done | record.open;
  for (std::size_t slot = slots._Find_first(); slot < kSlots; slot = slots._Find_next(slot)) {
    record.finished.push_back(counts_[slot].finished);
    record.rejected.push_back(counts_[slot].rejected);
    if (record.open[slot]) record.open_listed += counts_[slot].listed;
  }
}

std::uint64_t SlotWork::total() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [source, entries] : entries_) sum += entries;
  return sum;
}

bool SlotWork::all_listed(std::size_t sources) const {
  const std::lock_guard lock(mutex_);
  return complete_.size() == sources;
}

}  // namespace graft
