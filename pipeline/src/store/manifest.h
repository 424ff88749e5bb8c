#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "store/shard_entry.h"

namespace graft {

/// The manifest of a table: `manifest/00000001`, `00000002`, ..., one entry per sealed shard. Entries are
/// complete when they get their names, never change, and never share a number: whoever adds one has seen all
/// before it.

/// Files of a folder with that extension, by name; none where there is no such folder.
GRAFT_API std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder,
                                                      const char* extension);

/// Numbers and paths, in order. `table`: the folder of the table.
GRAFT_API std::vector<std::pair<std::uint64_t, std::filesystem::path>> manifest_entries(
    const std::filesystem::path& table);

/// Which entries of a manifest somebody has seen.
struct SeenEntries {
  std::uint64_t last = 0;  ///< The newest.
  /// Numbers before it that were not there: a network file system may show them later.
  std::vector<std::uint64_t> missing;
};
/// Entries that are not seen yet; they are from now on. They are looked for by their numbers, too: a network
/// file system may list a new file long after it is there.
GRAFT_API std::vector<std::pair<std::uint64_t, std::filesystem::path>> new_entries(
    const std::filesystem::path& table, SeenEntries& seen);

/// Nothing for the entry of a shard that was dropped. Throws Error with the cure when the entry is damaged.
GRAFT_API std::optional<ShardEntry> read_manifest_entry(const std::filesystem::path& path);

/// Adds an entry under that number; false, and nothing has changed, when the number is taken. Throws Error.
GRAFT_API bool add_manifest_entry(const std::filesystem::path& table, std::uint64_t number,
                                  const ShardEntry& entry);

/// Replaces an entry by a mark that its shard was dropped: its number is not given again.
GRAFT_API void drop_manifest_entry(const std::filesystem::path& path);

/// Files in the folders of a table that nobody holds (FolderLock) which no manifest entry names: half-written
/// shards, logs and records, shards whose sealing was cut short. Of a table in use, some of them are being
/// written. On a file system that other machines may have mounted, a shard that no entry names is one after
/// an hour without a change: the entry may not be shown here yet.
GRAFT_API std::vector<std::filesystem::path> leftovers(const std::filesystem::path& table);
/// Removes them; a failure to is no error. Gives the bytes that were freed.
GRAFT_API std::uint64_t remove_leftovers(const std::filesystem::path& table);

}  // namespace graft
