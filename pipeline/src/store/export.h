#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <graft/export.h>

#include "store/table_use.h"

namespace graft {

/// What .npy, which has no keys, has for inputs and views without features: nothing, or a row of NaN, so that
/// row i * views + v belongs to view v of input i.
enum class WithoutFeatures { LeftOut, Nan };

struct Exported {
  std::uint64_t rows = 0;
  std::uint64_t nan_rows = 0;  ///< Of `rows`.
};

/// What is wrong with the name of a file that rows are to be exported to: "expected FILE.h5, ..."; empty:
/// nothing.
GRAFT_API std::string fault_of_export_name(const std::filesystem::path& file);

/// Writes the rows of a run's use of a table, in the order of its list, for other software; to a temporary
/// name first, synced, then renamed. Rows are read in blocks. Throws Error: `path` exists, its name has a
/// fault, there is no row, a row is missing or damaged.
///
///   .h5:   features [n, ...] float32, labels [n] int64 (-1: unlabelled), or, where an input has several
///          labels or is negative, [n, classes] int8 of 0 and 1 (-1 in every column: unlabelled), keys [n]
///          and splits [n] fixed-length texts, views [n] uint32, classes [c]; contiguous, no filter. The
///          rows of an input have its key, each with the number of its view, from 0.
///   .npy:  the features alone, format 1.0
///   .csv:  key,split,label,view,f0,f1,...: as .h5, several labels separated by ';', numbers that read back
///   to
///          the same float32
GRAFT_API Exported export_table(const std::filesystem::path& table, const TableUse& use,
                                const std::filesystem::path& path,
                                WithoutFeatures are = WithoutFeatures::LeftOut);

}  // namespace graft
