#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <graft/hash.h>
#include <graft/payload.h>

#include "base/files.h"
#include "base/paged_memory.h"
#include "store/row_index.h"

namespace graft {

/// Remembers the content digest of files by path, size, and the times of the last change of the content and
/// of the file (mtime, ctime), so that unchanged files are not read again. Only a shortcut: losing it costs
/// reading. Thread-safe; several processes may share one. The file, version 2:
///
///   "GRAFTMEM" | u32 version | zeros to 64 bytes
///   records of 64 bytes: digest of path and member, content digest, u64 size, i64 mtime, i64 ctime (ns; 0:
///   unknown), u32 CRC-32C of the 56 bytes before, u32 zero. The last record of a path counts.
class GRAFT_API DigestMemo {
 public:
  /// Loads `path` if it is there. One of another version, or damaged, is begun again.
  explicit DigestMemo(std::filesystem::path path);
  /// Appends what is new to the file; a failure to write is not an error.
  ~DigestMemo();

  /// `changed`: set when the file is known, but was another one then.
  std::optional<Digest> find(const FileRef& file, bool* changed = nullptr) const;
  /// Files changed within the last two seconds are not remembered: they could change again unnoticed. What is
  /// new is written while the run goes on.
  void remember(const FileRef& file, const Digest& content);

  /// Digest of a whole file, from the memo or by reading it; asked again, what it was the first time: what a
  /// run says of a file is true of the one that it began with. Throws Error naming the file.
  Digest digest_of(const std::filesystem::path& file);
  /// Throws Error, naming the file, where another one is at the place of a file whose digest_of() was asked
  /// for, or it was written to: what reads it now gets something else.
  void require_unchanged();

 private:
  struct Record {
    Digest path, content;
    std::uint64_t size = 0;
    std::int64_t mtime = 0, ctime = 0;
    std::uint32_t crc = 0, zero = 0;
  };
  static_assert(sizeof(Record) == 64);
  static Record record_of(const FileRef& file, const Digest& content);
  void add(const Record& record);
  void append();
  void rewrite() const;

  std::filesystem::path path_;
  mutable std::mutex mutex_;
  PagedVector<Record> records_;  // one per path
  RowIndex by_path_;             // row: position in records_
  std::vector<Record> fresh_;    // not in the file yet
  struct Pinned {
    FileRef file;
    Digest content;
  };
  std::map<std::string, Pinned> pinned_;  // by path: what digest_of() has given
};

/// A file as it is now. Throws Error when it cannot be examined.
GRAFT_API FileRef examine_file(const std::filesystem::path& file);

}  // namespace graft
