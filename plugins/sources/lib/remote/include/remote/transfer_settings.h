#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <graft/params.h>
#include <remote/transfer.h>

namespace graft::remote {

/// `timeout`, `retries`, `backoff`, `time_limit`: append to the parameters of a source that fetches.
std::vector<ParamSpec> transfer_parameters();

/// What they say; max_bytes is left at 0. `keep_waiting`: of the StageContext.
TransferLimits transfer_limits(const Params& params, std::function<bool()> keep_waiting);

/// `cache`, `cache_bytes`: likewise.
std::vector<ParamSpec> cache_parameters();

/// Null: none is wanted. Throws what FetchCache does.
std::unique_ptr<FetchCache> fetch_cache(const Params& params);

}  // namespace graft::remote
