#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <graft/export.h>

namespace graft {

/// What a control group and all groups above it leave to a process; nothing: no limit.
struct CgroupLimits {
  std::optional<double> processors;     ///< The lowest quota per period, above 0.
  std::optional<std::uint64_t> memory;  ///< The lowest limit in bytes, above 0.
};

/// Limits of this process, by version 2 (cpu.max, memory.max, memory.high) and version 1 (cpu.cfs_quota_us,
/// memory.limit_in_bytes) of the kernel's control groups. `membership` is the process's list of groups,
/// `root` the folder where they are mounted. Groups that are not visible, as in a container, and files that
/// are missing or say nothing sensible limit nothing. Sets of processors (cpuset) are in the affinity mask.
GRAFT_API CgroupLimits read_cgroup_limits(const std::filesystem::path& membership = "/proc/self/cgroup",
                                          const std::filesystem::path& root = "/sys/fs/cgroup");

}  // namespace graft
