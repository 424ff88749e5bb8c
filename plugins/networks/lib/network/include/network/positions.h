#pragma once

#include <vector>

#include <network/architecture.h>

namespace graft::nn {

/// A positional embedding of one row per patch, for another grid of patches than it was trained with.
///
/// `table`: [from_height, from_width, values]. Gives [height, width, values], by the rule of the owner of the
/// weights; as stored where the rule says so.
std::vector<float> resized_positions(const float* table, int from_height, int from_width, int values,
                                     PositionRule rule, int height, int width);

/// Whether a rule takes the rows as they are stored.
bool positions_fit(PositionRule rule, int from_height, int from_width, int height, int width);

}  // namespace graft::nn
