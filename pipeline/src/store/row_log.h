#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "base/files.h"
#include "store/row.h"

namespace graft {

/// Append-only file of fixed-size records: the commit point of a table. A record is committed once sync() has
/// returned after its append. Layout (little-endian), version 2:
///
///   header, 128 bytes:  "GRAFTLOG" | u32 version | u32 dtype | u32 rank | u32 payload capacity |
///                       i64 extent[8] | u32 flags (1: the writer holds flock on the file) | zeros |
///                       u32 CRC-32C of the 124 bytes before
///   record:             u32 0x574f5247 ("GROW") | u32 status (1 row, 2 reject) | u64 id.high | u64 id.low |
///                       u64 sequence | u32 payload size | u32 CRC-32C of the 36 bytes before and the payload
///                       area | payload area (capacity bytes, zero-padded)
///
/// The capacity is the row's size, at least 256 bytes (so that a reject's reason fits) and a multiple of 8.
class GRAFT_API RowLog {
 public:
  static constexpr std::size_t kHeaderBytes = 128;

  /// Creates a new log and locks it where the file system has locks. It gets its name when its header is on
  /// disk: nobody ever sees half of one. Throws Error when it exists or cannot be written.
  static RowLog create(const std::filesystem::path& path, const RowFormat& format);

  void append(const RowRecord& record);
  /// Writes what is buffered; nothing is durable before sync().
  void flush();
  /// Throws Error also when somebody has removed the file: what would be written to it then is lost.
  void sync();

  const std::filesystem::path& path() const { return path_; }
  /// Whether every record that was appended is durable.
  bool is_synced() const { return synced_bytes_ == bytes_; }
  std::uint64_t records() const { return records_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  RowLog() = default;

  std::filesystem::path path_;
  FileHandle file_;
  std::size_t capacity_ = 0;
  std::vector<std::uint8_t> buffer_;
  std::uint64_t records_ = 0;
  std::uint64_t bytes_ = 0;         // of the file, once the buffer is flushed
  std::uint64_t synced_bytes_ = 0;  // of them, those that sync() has made durable
};

/// What a scan of a log found.
struct LogScan {
  std::uint64_t records = 0;
  /// Records before the end whose checksum is wrong: their rows are computed again.
  std::uint64_t damaged = 0;
  bool torn_tail = false;  ///< The last record was cut short: never committed.
};

/// A row log, open for reading. It stays readable when its writer removes the file. Any thread.
class GRAFT_API LogReader {
 public:
  /// Throws Error when the header is damaged or of another version.
  explicit LogReader(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const RowFormat& format() const { return format_; }
  std::uint64_t bytes() const;  ///< Of the file, now.

  /// Whether the process that writes it is gone: nobody holds its lock, or, where locks do not tell, it has
  /// had no lease and has not written for an hour. After `true` this object holds the lock: two never seal
  /// one log.
  bool try_lock_abandoned() { return try_lock_abandoned(true); }
  /// The same for those who only look: they hold nothing afterwards, and do not get into each other's way.
  bool is_abandoned() const { return try_lock_abandoned(false); }

  /// Visits every valid record in order, with its position; a payload is valid during the call. A damaged
  /// record is counted and skipped.
  LogScan scan(const std::function<void(const RowRecord&, std::uint64_t position)>& visit) const;
  /// The row at a position; `out` has row_bytes(format()). Throws Error when its checksum is wrong.
  void read(std::uint64_t position, std::uint8_t* out) const;

 private:
  bool try_lock_abandoned(bool keep) const;

  std::filesystem::path path_;
  FileHandle file_;
  RowFormat format_;
  std::size_t capacity_ = 0;
  bool locks_ = false;
};

/// Whether a living process writes to a log of the table, or may: one that cannot be read.
GRAFT_API bool has_writer(const std::filesystem::path& table);

}  // namespace graft
