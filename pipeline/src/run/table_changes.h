#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "store/fingerprint.h"
#include "store/table_use.h"

namespace graft {

/// What tells the rows of two tables apart, from their descriptions, in words: "pixels.crop 224 -> 192",
/// "features.model has other content (1f3a5c77 -> 77b01234)", "pixels: decode 1.0.0 -> 1.1.0", "stage
/// 'augment' was added after pixels". `ids`: the stages' names in the config of `now`.
GRAFT_API std::vector<std::string> differences(const Value& then, const Value& now,
                                               const std::vector<std::string>& ids);

/// A collector of a run, as uses of tables name it.
struct TableUser {
  std::string run, stage;        ///< Names in the config.
  std::filesystem::path folder;  ///< Of the run.
};

/// A table that an earlier complete run of the same name used for the same stage.
struct EarlierTable {
  TableUse use;
  std::filesystem::path table;
  std::vector<std::string> differences;  ///< Of the fingerprint from that table's.
};

/// What a table is compared with: that of the last complete run in the same folder; else, of the runs of this
/// name, the one with the most similar table, ties go to the newer use. Other runs' tables, and the
/// fingerprint's own, are never looked at. Nothing where there is none.
GRAFT_API std::optional<EarlierTable> earlier_table(const std::filesystem::path& store,
                                                    const Fingerprint& fingerprint, const TableUser& user);

/// Why a table without rows is computed from scratch, in words: at most four differences from the earlier
/// table, and which run used that. Nothing where there is no earlier one, or nothing that has a name differs.
GRAFT_API std::optional<std::string> why_new(const std::filesystem::path& store,
                                             const Fingerprint& fingerprint, const TableUser& user);

}  // namespace graft
