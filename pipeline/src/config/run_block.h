#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <graft/params.h>

#include "config/plan.h"

namespace graft {

/// What may stand under `run:`.
const std::vector<ParamSpec>& run_parameters();

/// Cores that this process may use: the affinity mask counts, as a batch system or taskset sets it.
int available_cores();

/// "512MiB" in bytes; nothing if it is not a size.
std::optional<std::uint64_t> parse_size(std::string_view text);

/// Reads `stall_limit`; `stall_seconds_given`: what auto depends on. Gives what is wrong with it, or nothing.
std::string read_stall_limit(const Params& params, bool stall_seconds_given, RunSettings& run);

}  // namespace graft
