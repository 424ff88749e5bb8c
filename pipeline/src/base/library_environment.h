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

}  // namespace graft
