#pragma once

#include <graft/export.h>

#include "config/plan.h"
#include "plugin/registry.h"

namespace graft {

/// Looks, before a run begins, for what the operating system would deny in the middle of it: threads and
/// their stacks (ulimit -u, -v), address space for the plugins' libraries and for what OpenBLAS takes for
/// every thread. Throws Error naming what is missing and the limit to raise.
GRAFT_API void require_limits(const Plan& plan, const Registry& registry);

}  // namespace graft
