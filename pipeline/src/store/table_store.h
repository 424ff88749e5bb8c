#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/fingerprint.h"
#include "store/folder_lock.h"
#include "store/manifest.h"
#include "store/row.h"
#include "store/row_index.h"
#include "store/row_log.h"
#include "store/shard.h"

namespace graft {

/// A table on disk: `<store>/tables/<fingerprint>/{table.json, manifest/, shards/*.h5, logs/*.rows}`. Sealed
/// shards, which the manifest lists, hold the rows; logs hold those of runs that have not sealed yet, and are
/// read up to their last valid record. Thread-safe; any number of processes may work on one table. It is held
/// (FolderLock) as long as this lives: no gc takes it away.
///
/// Rows of several formats may lie in one table: those of inputs of several sizes, where no stage makes them
/// equal. A run reads rows of one format; that is for whoever reads them to check.
class GRAFT_API TableStore {
 public:
  /// Reads what is there, and changes nothing of it. Throws Error for a damaged shard, naming it and the
  /// cure.
  TableStore(const std::filesystem::path& store, Fingerprint fingerprint);

  const Fingerprint& fingerprint() const { return fingerprint_; }
  const std::filesystem::path& folder() const { return folder_; }
  /// Of all rows: nothing until the first one is stored, and where they have several.
  std::optional<RowFormat> format() const;
  /// Of the rows of a part.
  const RowFormat& format_of(std::uint32_t part) const;
  std::size_t rows() const;
  std::size_t rejects() const;
  std::optional<RowPlace> find_row(const Digest& id) const;
  const StoredReject* find_reject(const Digest& id) const;
  /// Whether the row was sealed by seal() of this object, and not found.
  bool sealed_here(const RowPlace& place) const;
  /// Rows of a part as stored, one after the other. Throws Error when one is damaged.
  void read(std::uint32_t part, std::size_t first, std::size_t count, std::uint8_t* out) const;
  /// Whether the rows of a part lie one after the other: those of a log have rejects between them.
  bool is_dense(std::uint32_t part) const;

  /// What was found damaged and will be computed again: for people.
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// How shards are packed from now on; those that are there may be packed in another way.
  void set_compression(Compression compression) { compression_ = compression; }

  /// Makes the folders and seals the logs that ended runs have left; where nobody else uses the table, what
  /// they have left half-done goes. Logs of running processes are left alone; their rows are used. Where the
  /// store is read-only, nothing happens and can_write() is false.
  void prepare_to_write();
  bool can_write() const { return read_only_.empty(); }
  /// Why it cannot: "cannot create ...: Read-only file system".
  const std::string& read_only_reason() const { return read_only_; }

  /// Seals a log into a shard and deletes it. Rows that are in a shard by now, of whatever process, are
  /// dropped: the first seal wins.
  void seal(const std::filesystem::path& log);
  /// Path for a new log of this process.
  std::filesystem::path new_log_path() const;

 private:
  struct Part {
    std::unique_ptr<Shard> shard;  // one of the two
    std::unique_ptr<LogReader> log;
    bool sealed_here = false;
  };

  void load();
  /// Adds the shards whose entries are new.
  void refresh();
  void add_format(const RowFormat& format);
  void add_shard(std::unique_ptr<Shard> shard, bool sealed_here);
  void add_log(std::unique_ptr<LogReader> log);
  void seal(const LogReader& log);
  bool link_shard(const std::filesystem::path& temporary, ShardEntry entry);
  const Part& part(std::uint32_t index) const;

  std::filesystem::path folder_;
  Fingerprint fingerprint_;
  std::string attempt_;
  FolderLock lock_;
  mutable std::atomic<std::uint64_t> logs_{0};  // made here: they are numbered
  mutable std::shared_mutex mutex_;             // of everything below but the strings
  std::vector<RowFormat> formats_;
  std::vector<std::unique_ptr<Part>> parts_;
  SeenEntries seen_;  // entries of the manifest that are loaded
  RowIndex rows_;
  std::unordered_map<Digest, StoredReject> rejects_;
  std::unordered_set<Digest> sealed_rejects_;  // those of them that are in a shard
  std::vector<std::string> warnings_;
  std::string read_only_;
  Compression compression_ = Compression::None;
};

}  // namespace graft
