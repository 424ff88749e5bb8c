#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "store/row.h"

namespace graft {

/// A sealed part of a table: one HDF5 file that is complete, verified and never changed. Layout, version 1:
///
///   attributes of /   graft_format = 1, fingerprint = "<32 hex digits>"
///   /rows             [n, shape...]  dtype of the table (f16 as 16-bit float), whole rows per chunk,
///   fletcher32 /row_id           [n, 16] u8     id.high and id.low, little-endian /reject_id        [m, 16]
///   u8 /reject_reason    [m, 256] u8    stage, code and text, each ended by a zero byte
///
/// Not thread-safe by itself; all HDF5 calls of the process go through one lock inside.
class GRAFT_API Shard {
 public:
  /// Opens and checks the layout. Throws Error naming the file, the dataset and the reason.
  explicit Shard(const std::filesystem::path& path);
  ~Shard();
  Shard(Shard&&) noexcept;
  Shard& operator=(Shard&&) noexcept;

  const std::filesystem::path& path() const;
  const RowFormat& format() const;
  const std::string& fingerprint() const;
  const std::vector<Digest>& row_ids() const;
  const std::vector<Digest>& reject_ids() const;
  const std::vector<StoredReject>& rejects() const;

  /// Rows [first, first + count) as stored. Any thread. Throws Error on a bad checksum.
  void read(std::size_t first, std::size_t count, void* out) const;

  /// Writes `rows` and `rejects` in the given order to a temporary name, reads all back, syncs, and links it
  /// to `path` unless that exists (then the file there wins). Throws Error; nothing is left behind.
  static void seal(const std::filesystem::path& path, const std::string& fingerprint, const RowFormat& format,
                   const std::vector<RowRecord>& rows, const std::vector<RowRecord>& rejects);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace graft
