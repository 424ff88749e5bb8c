#include <graft/resources.h>

#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <limits>
#include <memory>

#include "base/cgroup.h"

namespace graft {
namespace {

/// The kernel refuses a mask that is shorter than its own.
int processors_of_mask() {
  constexpr int kMost = 1 << 20;
  for (int size = CPU_SETSIZE; size <= kMost; size *= 2) {
    const auto free = [](cpu_set_t* set) { CPU_FREE(set); };
    const std::unique_ptr<cpu_set_t, decltype(free)> mask(CPU_ALLOC(size), free);
    if (mask == nullptr) return 1;
    if (::sched_getaffinity(0, CPU_ALLOC_SIZE(size), mask.get()) == 0)
      return std::max(1, CPU_COUNT_S(CPU_ALLOC_SIZE(size), mask.get()));
    if (errno != EINVAL) return 1;
  }
  return 1;
}

}  // namespace

int usable_processors() {
  const double quota = read_cgroup_limits().processors.value_or(std::numeric_limits<int>::max());
  return std::max(1, static_cast<int>(std::min<double>(processors_of_mask(), std::ceil(quota))));
}

std::uint64_t usable_memory() {
  std::uint64_t bytes = read_cgroup_limits().memory.value_or(std::numeric_limits<std::uint64_t>::max());
  struct sysinfo machine {};
  if (::sysinfo(&machine) == 0) bytes = std::min<std::uint64_t>(bytes, machine.totalram * machine.mem_unit);
  rlimit space{};
  if (::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
    bytes = std::min<std::uint64_t>(bytes, space.rlim_cur);
  return bytes;
}

}  // namespace graft
