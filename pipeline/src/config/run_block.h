#pragma once

#include <string>
#include <vector>

#include <graft/params.h>

#include "config/plan.h"

namespace graft {

/// What may stand under `run:`.
const std::vector<ParamSpec>& run_parameters();

/// Each reads a text of the block and gives what is wrong with it, or nothing. `stall_seconds_given`: what
/// auto depends on.
std::string read_stall_limit(const Params& params, bool stall_seconds_given, RunSettings& run);
std::string read_memory(const Params& params, RunSettings& run);
std::string read_max_rejects(const Params& params, RunSettings& run);

/// Of a `memory` that this process may not use; empty: it may.
std::string memory_warning(const RunSettings& run);

}  // namespace graft
