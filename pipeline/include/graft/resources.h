#pragma once

#include <cstdint>

#include <graft/export.h>

namespace graft {

/// Processors that this process may use, at least 1: those of its affinity mask, as a batch system or taskset
/// sets it, at most the quota of its control group and of the groups above, a fraction rounded up. Looks at
/// the system at every call. Any thread.
GRAFT_API int usable_processors();

/// Bytes of memory that this process may use: those of the machine, at most what its control group, the
/// groups above and ulimit -v allow. Looks at the system at every call. Any thread.
GRAFT_API std::uint64_t usable_memory();

}  // namespace graft
