#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <graft/export.h>
#include <graft/value.h>

namespace graft {

/// How the work of one job is divided: every input lies in one of 65536 slots, by a hash of its key alone,
/// and a worker computes the inputs of the slots that it owns. Which inputs a slot has depends on nothing
/// else, so that any number of workers divides the same list without a remainder, and a slot can change hands
/// while its worker lives.
constexpr std::size_t kSlots = 65536;
using Slot = std::uint16_t;
using SlotSet = std::bitset<kSlots>;

/// The slot of an input. `unit`: its key; of an archive's member or a frame, the part of the key that names
/// the archive or the video, which one worker reads as a whole.
GRAFT_API Slot slot_of(std::string_view unit);

/// The part of a key that names the file at `path`: the longest beginning of `key` that is the end of `path`,
/// whole components. The key itself where there is none.
GRAFT_API std::string_view unit_of(std::string_view key, std::string_view path);

/// One of `count` equal parts of the slots.
struct GRAFT_API WorkShard {
  std::uint32_t index = 0, count = 1;

  /// "3/37".
  std::string text() const;
  /// Its slots: those of all indices together are all slots, each in one of them.
  SlotSet slots() const;
  friend bool operator==(const WorkShard&, const WorkShard&) = default;

  /// Reads "3/37". Throws Error: what was expected, what was got.
  static WorkShard parse(std::string_view text);
  /// From the variables of the launcher that has started this process, the first that are set: a Slurm array
  /// (SLURM_ARRAY_TASK_ID and _MIN, _STEP, _COUNT), a Kubernetes Indexed Job (JOB_COMPLETION_INDEX and
  /// GRAFT_TASKS), OpenMPI, PMIx and PMI ranks, a Slurm step (SLURM_PROCID, SLURM_NTASKS). Throws Error that
  /// names what was looked for, and for values that make no shard. `found`: set to the variable.
  static WorkShard from_environment(std::string* found = nullptr);
};

/// As ranges: [[first, last], ...].
GRAFT_API Value to_value(const SlotSet& slots);
/// Throws Error for what is none.
GRAFT_API SlotSet slots_from(const Value& ranges);

/// About half of the slots: the upper half of every run of consecutive ones, so that both halves stay few
/// ranges. Nothing of a single slot.
GRAFT_API SlotSet upper_half(const SlotSet& slots);

}  // namespace graft
