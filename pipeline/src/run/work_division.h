#pragma once

#include <map>
#include <string>

#include <graft/export.h>

#include "store/job_folder.h"

namespace graft {

/// How a worker is getting on, for those who may take work from it, and for people.
struct WorkerOutlook {
  enum class State {
    Running,
    Stalled,  ///< It lives, and has not said so for half a minute.
    Gone,     ///< Killed, failed or interrupted before its slots were done.
    Done,
  };
  State state = State::Done;
  SlotSet open;  ///< Slots that it owns and is not through with.
  /// Inputs of the slots that it owns now that are finished, and those of them that were rejected.
  std::uint64_t finished = 0, rejected = 0;
  double remaining = 0;  ///< Inputs in them that are not finished, estimated until it has listed all.
  std::optional<double> seconds;  ///< Until it is through; nothing: not known.
};

GRAFT_API WorkerOutlook outlook(const WorkerRecord& worker, const SlotOwners& owners);

/// What a worker that has nothing left to do takes from the others: all that the first worker that is gone or
/// stalled has left; otherwise, of the one that needs most time, half. Nothing where all are through within
/// `least_seconds`: starting again costs more than that.
GRAFT_API SlotSet slots_to_take(const std::map<std::string, WorkerRecord>& workers, const SlotOwners& owners,
                                const std::string& self, double least_seconds);

/// What a worker that begins takes of the slots that it was started for: all but those that another one works
/// on, and keeps.
GRAFT_API SlotSet slots_to_begin_with(const WorkShard& shard,
                                      const std::map<std::string, WorkerRecord>& workers,
                                      const SlotOwners& owners);

}  // namespace graft
