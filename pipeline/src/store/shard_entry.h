#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <graft/stage.h>

#include "store/row.h"

namespace graft {

using Compression = Collector::Compression;

/// Where a chunk of rows lies in a shard.
struct ShardChunk {
  std::uint64_t offset = 0;    ///< Of its first byte in the file.
  std::uint32_t bytes = 0;     ///< As stored, with the 4 bytes of HDF5's fletcher32 at the end.
  std::uint32_t unpacked = 0;  ///< 1: not compressed, although the table is.
};

/// An entry of a table's manifest: what a sealed shard holds, and the checksums that prove it. A shard counts
/// when its entry has been linked to the next free number of `manifest/`; who comes second sees the first
/// one's rows and drops his own. Layout (little-endian), version 2:
///
///   header, 192 bytes:  "GRAFTMAN" | u32 version | u32 dtype | u32 rank | u32 compression (0 none, 1 gzip) |
///                       i64 extent[8] | u64 rows n | u64 rejects m | u64 bytes of the shard |
///                       u32 rows per chunk | u32 chunks c | SHA-256 of the shard, 64 hexadecimal digits |
///                       u32 name length k | u32 zero
///   name of the shard's file, k bytes, zero-padded to a multiple of 8
///   row ids             n x (u64 high, u64 low), in the order of the rows
///   row checksums       n x u32 CRC-32C of the row's bytes
///   chunks              c x (u64 offset, u32 bytes, u32 unpacked)
///   reject ids          m x (u64 high, u64 low)
///   reject reasons      m x 256 bytes: stage, code and text, each ended by a zero byte
///   u32 CRC-32C of everything before
struct GRAFT_API ShardEntry {
  std::string file;  ///< Name in shards/.
  RowFormat format;
  Compression compression = Compression::None;
  std::uint64_t bytes = 0;
  std::string sha256;  ///< 64 hexadecimal digits.
  std::uint32_t chunk_rows = 1;
  std::vector<Digest> row_ids;
  std::vector<std::uint32_t> row_crcs;
  std::vector<ShardChunk> chunks;
  std::vector<Digest> reject_ids;
  std::vector<StoredReject> rejects;

  std::vector<std::uint8_t> encode() const;
  /// Throws Error naming `path` when a byte is wrong, or for another version.
  static ShardEntry decode(std::span<const std::uint8_t> bytes, const std::filesystem::path& path);
  static ShardEntry read(const std::filesystem::path& path);
};

}  // namespace graft
