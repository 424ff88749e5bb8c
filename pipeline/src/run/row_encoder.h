#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "config/plan.h"
#include "store/row.h"

namespace graft {

/// Asks a collector for the row of an item. False, and `reject`, where it refuses the item. `check` sees the
/// format before memory for the row is taken. Throws StageError where the collector fails, or refuses an item
/// that may not be refused.
bool encode_row(const StagePlan& stage, const char* label, const Collector& collector, const Item& item,
                const std::function<void(const RowFormat&)>& check, RowFormat& format,
                std::vector<std::uint8_t>& row, std::optional<StoredReject>& reject);

}  // namespace graft
