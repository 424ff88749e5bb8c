#pragma once

#include <graft/export.h>

namespace graft {

/// Sets what libraries of plugins read from the environment when they are loaded, unless the user has: their
/// kernels, and how many threads they prepare for. Programs call it first, while they have one thread, as
/// setenv(3) demands.
///
/// OpenBLAS takes its slowest kernels on a processor that it does not know (0.3.21 on newer Xeons: 1.5 to 3
/// times slower), so it always gets a name; the others know, and are limited by GRAFT_MAX_CPU_ISA alone.
GRAFT_API void set_library_environment();

/// A network allocates and frees the same large buffers batch after batch. Left alone, glibc hands them back
/// to the kernel each time, and the page faults cost 10 to 25 % of the run (MobileNet v1, hymenoptera).
GRAFT_API void keep_freed_memory();

}  // namespace graft
