#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/config_file.h"
#include "config/diagnostics.h"

namespace graft {

/// One combination of a sweep: the values that it lays over the config.
using SweepPoint = std::vector<Override>;

/// More combinations than this are a mistake.
constexpr std::size_t kMaxSweepPoints = 1000;

/// The combinations that a sweep stands for: every entry of the list with the product of the grids, of which
/// the last changes fastest. `grids`: "stage.key=[a, b]" or "stage.key=a,b", YAML. `list`: a YAML file with a
/// list of maps from "stage.key" to a value; empty: none. Within a combination a stage's plugin comes first,
/// then `with`. Faults go to `diagnostics`: the result is then not to be used.
GRAFT_API std::vector<SweepPoint> sweep_points(const std::vector<std::string>& grids,
                                               const std::filesystem::path& list, Diagnostics& diagnostics);

}  // namespace graft
