#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <graft/export.h>

namespace graft {

/// What joining the small shards of a table did.
struct Compaction {
  std::uint64_t shards_before = 0, shards_after = 0;  ///< Of the whole table.
  std::uint64_t rows = 0, rejects = 0;                ///< That were written again.
};

/// Joins shards that are smaller than half of `shard_bytes` into shards of about that size, with their rows
/// in the order of the last run's list, so that learners read them one after the other. Row by row the table
/// stays the same. A kill at any moment leaves every row readable; the next run, or the next compaction,
/// brings what was begun to its end. Nothing where somebody uses the table. Throws Error; the table is then
/// as it was.
GRAFT_API std::optional<Compaction> compact_table(const std::filesystem::path& table,
                                                  std::uint64_t shard_bytes);

/// Brings a compaction that was killed to its end, or takes it back; true when there was one. The caller
/// holds the table alone (FolderLock).
bool finish_compaction(const std::filesystem::path& table);
/// Whether one was begun and has not ended: rows may then be in two shards.
bool is_being_compacted(const std::filesystem::path& table);

}  // namespace graft
