#pragma once

#include <graft/export.h>

namespace graft {

/// All that the program graft-stage-worker does: makes one stage and its calls for a run in another process,
/// until that asks it to quit or ends. Returns the exit code.
GRAFT_API int run_stage_worker();

}  // namespace graft
