#pragma once

#include <functional>
#include <vector>

#include <graft/params.h>
#include <remote/transfer.h>

namespace graft::remote {

/// `timeout`, `retries`, `backoff`, `time_limit`: append to the parameters of a source that fetches.
std::vector<ParamSpec> transfer_parameters();

/// What they say; max_bytes is left at 0. `keep_waiting`: of the StageContext.
TransferLimits transfer_limits(const Params& params, std::function<bool()> keep_waiting);

}  // namespace graft::remote
