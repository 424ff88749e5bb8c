#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <graft/value.h>

#include "store/row.h"
#include "store/table_use.h"

namespace graft {

/// Folders of the tables of a store, by name; none where there is no store.
GRAFT_API std::vector<std::filesystem::path> tables_in(const std::filesystem::path& store);

/// 32 hexadecimal digits: how digests stand in descriptions and in the names of tables.
GRAFT_API bool is_digest(std::string_view text);

/// table.json: what the table's fingerprint is made of. Throws Error when that is missing or is not what the
/// folder is named by.
GRAFT_API Value read_description(const std::filesystem::path& table);

/// What a table is made by, in words: "decode 1.0.0 crop=224 resize=256 > ... > feature_table 1.0.0
/// dtype=f32". Throws as read_description does.
GRAFT_API std::string describe_table(const std::filesystem::path& table);

/// A table at a glance, from its manifest and its logs; checks no checksum but the manifest's.
struct TableSummary {
  std::filesystem::path folder;
  std::string fingerprint, words;
  std::vector<RowFormat> formats;  ///< Of the rows: one, unless inputs of several sizes have come this way.
  std::uint64_t rows = 0, rejects = 0, shards = 0, logs = 0;
  std::uint64_t bytes = 0;     ///< Of everything in the folder.
  std::int64_t last_used = 0;  ///< Seconds since 1970: the newest use or change, whichever is newer.
  bool has_writer = false;     ///< A living process writes to one of its logs.
  bool in_use = false;         ///< A living process uses it.
  std::vector<TableUse> uses;  ///< Newest first.
  std::vector<DamagedUse> damaged_uses;
  std::string unreadable;  ///< Why a part of it could not be looked at; empty: all was.
};
GRAFT_API TableSummary summarise_table(const std::filesystem::path& table);

/// Something wrong with a table.
struct TableFault {
  enum class Kind {
    Shard,       ///< `path` is the shard, or the entry of the manifest where that is what is damaged.
    Log,         ///< Records of a log.
    LogHeader,   ///< A log of which nothing can be read.
    Record,      ///< table.json, a list of inputs or a use: nothing that rows are made of.
    Incomplete,  ///< Inputs of a run have neither a row nor a reject.
    Unreadable,  ///< It is there and could not be read: not known to be damaged, and never repaired.
  };
  Kind kind;
  std::filesystem::path path;
  std::string why;
  /// What names `path`: the entry of the manifest, for a shard; the record of the use, for a list of inputs.
  std::filesystem::path named_by;
};

struct TableCheck {
  TableSummary summary;
  std::vector<TableFault> faults;
  std::uint64_t inputs = 0, ok = 0, rejected = 0;  ///< Of the newest use: ok + rejected = inputs is proven.
  std::uint64_t fewer_views = 0;  ///< Of those that are ok: inputs of which some views were rejected.
  std::vector<std::filesystem::path> leftovers;  ///< No fault: the next run removes them.
};

/// Reads every byte: each shard's SHA-256, every record's checksum, every list of inputs against the rows.
/// Runs may use the table meanwhile.
GRAFT_API TableCheck check_table(const std::filesystem::path& table);

/// What repair_table did, a line for each.
struct TableRepair {
  std::vector<std::string> done;
  std::vector<std::string> left;  ///< Faults that are still there, and why.
};

/// Drops what check_table found damaged and what is found so again, exactly that: the next run computes it
/// again. What cannot be read stays, and so does everything of a table that somebody uses.
GRAFT_API TableRepair repair_table(const TableCheck& check);

}  // namespace graft
