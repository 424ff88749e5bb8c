#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <source/archive_input.h>

struct archive;  // of libarchive, which stays out of the header
struct archive_entry;

namespace graft::source {

class GzipReader;

/// Reads a tar (plain, gzip, bzip2, xz, zstd) or zip archive forwards: headers, and the data of members one
/// asks for. Nothing is extracted, no program is started, no link is followed. Used by one thread at a time.
class ArchiveReader {
 public:
  enum class Kind { File, Folder, Link, Special };

  /// Throws graft::Error when it is no such archive; everything here throws what the input does.
  explicit ArchiveReader(std::shared_ptr<ArchiveInput> input);
  ~ArchiveReader();

  /// The next member's header; false at the end. Data that nobody asked for are skipped. Throws graft::Error
  /// for damage, with the position, for an encrypted member, for a name of more than 4096 bytes, and for an
  /// archive that unpacks to more than 1100 times its size; at the end, for a zip whose list has more members
  /// than were found.
  bool next();
  /// At the end: whether a plain tar lacks the blocks of zeros that its writer ends it with. Whole members
  /// may be missing.
  bool lacks_end() const { return lacks_end_; }

  /// The input's name.
  const std::string& path() const { return input_->name(); }

  /// Members that next has found so far: the position of the following one.
  std::size_t count() const { return count_; }
  /// The rest is about the last of them.
  /// Bytes as they are; UTF-8 where the archive says so.
  const std::string& name() const { return name_; }
  Kind kind() const { return kind_; }
  /// By its header, if that says.
  std::optional<std::uint64_t> size() const { return size_; }

  /// Size of the archive itself.
  std::uint64_t file_bytes() const { return input_->size(); }

  /// The data of the member. Memory grows with what is read, not with what the header promises. Throws
  /// graft::Reject: `too-large` when there is more than `limit` or than an archive of this size holds of
  /// images, which do not shrink when they are packed; `corrupt`.
  std::vector<std::uint8_t> read(std::uint64_t limit);

 private:
  struct Close {
    void operator()(struct archive* a) const;
  };
  class Locale;
  struct Callbacks;

  void open();
  [[noreturn]] void fail_to_open(const std::string& why) const;
  /// The last bytes of the archive.
  std::string end(std::uint64_t bytes) const;
  bool is_packed() const;
  /// Throws what the input threw below libarchive.
  void rethrow();
  [[noreturn]] void fail(const std::string& text) const;
  void check_end();
  void check_list() const;
  void check_growth();

  std::shared_ptr<ArchiveInput> input_;
  std::uint64_t position_ = 0;       ///< In the input, where libarchive reads on.
  std::exception_ptr thrown_;        ///< By the input, below libarchive, which is C.
  std::uint64_t members_bytes_ = 0;  ///< Of all members so far, by their headers.
  std::unique_ptr<GzipReader> gzip_;
  std::unique_ptr<struct archive, Close> archive_;
  struct archive_entry* entry_ = nullptr;  // owned by archive_
  std::size_t count_ = 0;
  std::string name_;
  Kind kind_ = Kind::File;
  std::optional<std::uint64_t> size_;
  bool lacks_end_ = false;
};

}  // namespace graft::source
