#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct archive;  // of libarchive, which stays out of the header
struct archive_entry;

namespace graft::source {

/// Reads a tar (plain, gzip, bzip2, xz, zstd) or zip archive forwards: headers, and the data of members one
/// asks for. Nothing is extracted, no program is started, no link is followed. Used by one thread at a time.
class ArchiveReader {
 public:
  enum class Kind { File, Folder, Link, Special };

  /// Throws graft::Error when the file is no such archive.
  explicit ArchiveReader(std::string path);
  ~ArchiveReader();

  /// The next member's header; false at the end. Data that nobody asked for are skipped. Throws graft::Error
  /// for damage, with the position, for an encrypted member, for a name of more than 4096 bytes, and for an
  /// archive that unpacks to more than 1100 times its size; at the end, for a zip whose list has more members
  /// than were found.
  bool next();
  /// At the end: whether a plain tar lacks the blocks of zeros that its writer ends it with. Whole members
  /// may be missing.
  bool lacks_end() const { return lacks_end_; }

  const std::string& path() const { return path_; }

  /// Members that next has found so far: the position of the following one.
  std::size_t count() const { return count_; }
  /// The rest is about the last of them.
  /// Bytes as they are; UTF-8 where the archive says so.
  const std::string& name() const { return name_; }
  Kind kind() const { return kind_; }
  /// By its header, if that says.
  std::optional<std::uint64_t> size() const { return size_; }

  /// Size of the archive itself.
  std::uint64_t file_bytes() const { return file_bytes_; }

  /// The data of the member. Memory grows with what is read, not with what the header promises. Throws
  /// graft::Reject: `too-large` when there is more than `limit` or than an archive of this size holds of
  /// images, which do not shrink when they are packed; `corrupt`.
  std::vector<std::uint8_t> read(std::uint64_t limit);

 private:
  struct Close {
    void operator()(struct archive* a) const;
  };
  class Locale;

  [[noreturn]] void fail_to_open(const std::string& why) const;
  /// The last bytes of the file.
  std::string end(std::uint64_t bytes) const;
  /// Whether it is packed by gzip.
  bool open_gzip();
  static ssize_t read_gzip(struct archive* a, void* self, const void** data);
  [[noreturn]] void fail(const std::string& text) const;
  void check_end();
  void check_list() const;
  void check_growth();

  std::string path_;
  std::uint64_t members_bytes_ = 0;  ///< Of all members so far, by their headers.
  std::uint64_t file_bytes_ = 0;
  std::shared_ptr<void> gzip_;  // gzFile; zlib stays out of the header
  std::vector<std::uint8_t> unpacked_;
  std::unique_ptr<struct archive, Close> archive_;
  struct archive_entry* entry_ = nullptr;  // owned by archive_
  std::size_t count_ = 0;
  std::string name_;
  Kind kind_ = Kind::File;
  std::optional<std::uint64_t> size_;
  bool lacks_end_ = false;
};

}  // namespace graft::source
