#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace graft::remote {

using FetchedBytes = std::shared_ptr<const std::vector<std::uint8_t>>;

/// Files that were fetched, in a folder of bounded size that any number of processes of any machines may
/// share. Those that were not used for the longest time go first. A file gets its name when all of it is
/// there, and its checksum is compared whenever it is read: one that is damaged or was cut short is fetched
/// again. The cache is only a shortcut: what cannot be read or written is no error. Any thread.
///
///   FOLDER/ab/<xxHash3-128 of the URL>: "GRAFTURL" | u32 version | u32 length of the tag | u64 size |
///                                       u64, u64: checksum of URL, tag, bytes | the tag | the bytes
class FetchCache {
 public:
  /// `limit`: bytes; a process may be beyond it by a sixteenth before it looks again. Throws graft::Error for
  /// a folder that cannot be made.
  FetchCache(std::filesystem::path folder, std::uint64_t limit);

  struct Found {
    FetchedBytes bytes;
    std::string tag;  ///< The ETag, by which the server knows the content; empty: it gave none.
  };
  std::optional<Found> find(const std::string& url) const;
  void keep(const std::string& url, const std::string& tag, const std::vector<std::uint8_t>& bytes);

 private:
  std::filesystem::path path_of(const std::string& url) const;
  void make_room();

  const std::filesystem::path folder_;
  const std::uint64_t limit_;
  std::atomic<std::uint64_t> written_{0};  // since the folder was looked through
};

}  // namespace graft::remote
