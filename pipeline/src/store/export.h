#pragma once

#include <filesystem>

#include <graft/export.h>

#include "store/feature_file.h"
#include "store/table_use.h"

namespace graft {

/// What .npy, which has no keys, has for inputs and views without features: nothing, or a row of NaN, so that
/// row i * views + v belongs to view v of input i.
enum class WithoutFeatures { LeftOut, Nan };

/// Writes the rows of a run's use of a table, in the order of its list, as a FeatureFile. Rows are read in
/// blocks. Throws Error: `path` exists, its name has a fault, there is no row, a row is missing or damaged.
GRAFT_API Exported export_table(const std::filesystem::path& table, const TableUse& use,
                                const std::filesystem::path& path,
                                WithoutFeatures are = WithoutFeatures::LeftOut);

}  // namespace graft
