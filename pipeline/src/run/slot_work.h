#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include <graft/export.h>

#include "store/job_folder.h"

namespace graft {

/// The slots that a process works on, and how far it is in each. Another process may take slots away at any
/// moment: inputs that are already on their way are finished all the same. Any thread.
class GRAFT_API SlotWork {
 public:
  SlotWork();

  /// Goes on to other slots: counts of these begin at zero, those of slots that it is through with stay.
  void begin(const SlotSet& slots);
  /// Slots that are not in `owned` are somebody else's from now on.
  void keep_only(const SlotSet& owned);
  SlotSet slots() const;
  /// Of the slots that it works on, in all slots.
  double fraction() const;

  bool takes(Slot slot) const {
    return (active_[slot / 64].load(std::memory_order_relaxed) >> (slot % 64) & 1) != 0;
  }
  void listed(Slot slot) { ++counts_[slot].listed; }
  void finished(Slot slot, bool rejected) {
    ++counts_[slot].finished;
    if (rejected) ++counts_[slot].rejected;
  }
  /// How many entries a source says that it has; 0: it does not.
  void expect(std::size_t source, std::uint64_t entries);
  void listed_all(std::size_t source, std::uint64_t entries);

  /// Into the record: counts of its slots, `done | open`.
  void count(WorkerRecord& record) const;
  /// Of all sources that have told; 0: none has.
  std::uint64_t total() const;
  /// Whether every one of `sources` sources has been listed to its end since begin().
  bool all_listed(std::size_t sources) const;

 private:
  struct Counts {
    std::atomic<std::uint32_t> listed{0}, finished{0}, rejected{0};
  };
  std::unique_ptr<std::atomic<std::uint64_t>[]> active_;
  std::unique_ptr<Counts[]> counts_;
  mutable std::mutex mutex_;  // of what follows
  std::map<std::size_t, std::uint64_t> entries_;
  std::map<std::size_t, bool> complete_;
};

}  // namespace graft
