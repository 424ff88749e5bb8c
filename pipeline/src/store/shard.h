#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/paged_memory.h"
#include "store/shard_entry.h"

namespace graft {

/// A sealed part of a table: one HDF5 file that is complete, verified and never changed. Layout, version 2:
///
///   attributes of /   graft_format = 2, fingerprint = "<32 hex digits>"
///   /rows             [n, shape...]  dtype of the table (f16 as 16-bit float), whole rows per chunk, gzip
///   where
///                     the table is compressed, fletcher32
///   /row_id           [n, 16] u8     id.high and id.low, little-endian
///   /reject_id        [m, 16] u8
///   /reject_reason    [m, 256] u8    stage, code and text, each ended by a zero byte
///
/// Rows are read by the places and checksums in the manifest's entry, not through HDF5: from any number of
/// threads at once, and a damaged file cannot lead the library astray.
class GRAFT_API Shard {
 public:
  /// Throws Error when the file is missing or has another size than its entry says.
  Shard(const std::filesystem::path& shards, ShardEntry entry);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const ShardEntry& entry() const { return entry_; }
  /// Forgets the ids and rejects of the entry, which an index holds by now, and puts the checksums into paged
  /// memory.
  void drop_ids();

  /// Rows [first, first + count) as they were stored. Any thread. Throws Error on a wrong checksum.
  void read(std::size_t first, std::size_t count, std::uint8_t* out) const;

 private:
  std::shared_ptr<const FileHandle> open() const;
  void read_packed(std::size_t first, std::size_t count, std::uint8_t* out) const;
  [[noreturn]] void fail(const std::string& why) const;

  std::filesystem::path path_;
  ShardEntry entry_;
  std::size_t row_bytes_, rows_;
  PagedBlock crcs_;  // once ids are dropped
  const std::uint32_t* row_crcs_;
  const std::uint64_t serial_;
  mutable std::shared_ptr<const FileHandle> file_;
};

/// How to cure a damaged shard: the last line of every message about one.
GRAFT_API std::string repair_hint(const std::filesystem::path& shard);

/// Writes a shard to `path`, which must not exist, reads everything back, through HDF5 and as Shard does, and
/// syncs it. The entry lacks nothing. Throws Error; the file is gone then.
GRAFT_API ShardEntry write_shard(const std::filesystem::path& path, const std::string& fingerprint,
                                 const RowFormat& format, Compression compression,
                                 const std::vector<RowRecord>& rows, const std::vector<RowRecord>& rejects);

}  // namespace graft
