#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/fingerprint.h"
#include "store/row.h"
#include "store/row_log.h"
#include "store/shard.h"

namespace graft {

/// Where a committed row is.
struct RowPlace {
  std::uint32_t shard = 0;
  std::uint32_t row = 0;
};

/// A table on disk: `<store>/tables/<fingerprint>/{table.json, shards/*.h5, logs/*.rows}`. Sealed shards hold
/// the rows; logs hold those of runs that have not sealed yet. Looking up is thread-safe as long as nobody
/// calls recover() or seal_all(); appending is TableAppender's.
class GRAFT_API TableStore {
 public:
  /// Reads what is there; changes nothing. Throws Error for a damaged shard, naming it and the cure.
  TableStore(const std::filesystem::path& store, Fingerprint fingerprint);

  const Fingerprint& fingerprint() const { return fingerprint_; }
  const std::filesystem::path& folder() const { return folder_; }
  /// Nothing until the first row is stored.
  const std::optional<RowFormat>& format() const { return format_; }
  std::size_t rows() const { return rows_.size(); }
  std::size_t shards() const { return shards_.size(); }
  std::optional<RowPlace> find_row(const Digest& id) const;
  const StoredReject* find_reject(const Digest& id) const;
  /// Rows of a shard as stored. Any thread.
  void read(std::uint32_t shard, std::size_t first, std::size_t count, void* out) const;

  /// Makes the folders and seals the logs that ended runs have left. Logs of running processes are left
  /// alone.
  void prepare_to_write();
  /// Seals a log into a shard and deletes it. Rows that are in a shard already are dropped.
  void seal(const std::filesystem::path& log);
  /// Path for a new log of this process.
  std::filesystem::path new_log_path() const;

 private:
  void add_shard(const std::filesystem::path& path);

  std::filesystem::path folder_;
  Fingerprint fingerprint_;
  std::optional<RowFormat> format_;
  std::vector<Shard> shards_;
  std::unordered_map<Digest, RowPlace> rows_;
  std::unordered_map<Digest, StoredReject> rejects_;
};

}  // namespace graft
