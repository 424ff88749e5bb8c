#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <graft/hash.h>
#include <graft/payload.h>

#include "store/files.h"

namespace graft {

/// Remembers the content digest of files by (path, size, modification time), so that unchanged files are not
/// read again. Only a shortcut: losing it costs reading, a damaged record is skipped. Thread-safe.
class GRAFT_API DigestMemo {
 public:
  /// Loads `path` if it is there.
  explicit DigestMemo(std::filesystem::path path);
  /// Appends what is new to the file; a failure to write is not an error.
  ~DigestMemo();

  std::optional<Digest> find(const FileRef& file) const;
  /// Files changed within the last two seconds are not remembered: they could change again unnoticed.
  void remember(const FileRef& file, const Digest& content);

  /// Digest of a whole file, from the memo or by reading it. Throws Error naming the file.
  Digest digest_of(const std::filesystem::path& file);

 private:
  std::filesystem::path path_;
  mutable std::mutex mutex_;
  std::unordered_map<Digest, Digest> known_;
  std::vector<std::uint8_t> fresh_;
};

/// A file as it is now. Throws Error when it cannot be examined.
GRAFT_API FileRef examine_file(const std::filesystem::path& file);

}  // namespace graft
