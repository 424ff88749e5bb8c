#include <source/archive_reader.h>

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include <graft/error.h>

#include "gzip_reader.h"

namespace graft::source {
namespace {

constexpr std::size_t kLongestName = 4096;

/// What gzip reaches with zeros, and no data set: a file that unpacks to more is made to keep readers busy.
constexpr std::uint64_t kMostGrowth = 1100, kUnsuspicious = std::uint64_t{64} << 20;

/// APPNOTE.TXT 6.3.10, 4.3.16: the record at the end of a zip, which a comment may follow, and the number of
/// members that means that the record of zip64 has it.
constexpr std::string_view kMember{"PK\3\4", 4}, kEndOfList{"PK\5\6", 4};
constexpr std::size_t kZipEnd = 22, kLongestComment = 65'535;
constexpr std::uint64_t kInZip64 = 65'535;

std::string reason(struct archive* a) {
  const char* text = ::archive_error_string(a);
  return text != nullptr ? text : "unknown error";
}

}  // namespace

void ArchiveReader::Close::operator()(struct archive* a) const {
  ::archive_read_free(a);
}

/// libarchive converts names to the character set of the locale: as long as this lives, UTF-8, on this
/// thread.
class ArchiveReader::Locale {
 public:
  Locale() : before_(::uselocale(utf8())) {}
  ~Locale() { ::uselocale(before_); }
  Locale(const Locale&) = delete;
  Locale& operator=(const Locale&) = delete;

 private:
  static locale_t utf8() {
    static const locale_t kUtf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return kUtf8;  // none on this system: uselocale changes nothing
  }
  locale_t before_;
};

/// What libarchive reads through. No exception may pass it: rethrow() does, behind it.
struct ArchiveReader::Callbacks {
  template <typename Read>
  static la_ssize_t guarded(struct archive* a, void* self, const void** data, Read read) {
    auto& reader = *static_cast<ArchiveReader*>(self);
    try {
      const std::span<const std::uint8_t> some = read(reader);
      *data = some.data();
      return static_cast<la_ssize_t>(some.size());
    } catch (const GzipDamage& e) {
      ::archive_set_error(a, EIO, "%s", e.what());
      return ARCHIVE_FATAL;
    } catch (...) {
      reader.thrown_ = std::current_exception();
      ::archive_set_error(a, EIO, "%s", "the input cannot be read");
      return ARCHIVE_FATAL;
    }
  }
  static la_ssize_t read(struct archive* a, void* self, const void** data) {
    return guarded(a, self, data, [](ArchiveReader& reader) {
      const auto some = reader.input_->read(reader.position_);
      reader.position_ += some.size();
      return some;
    });
  }
  // libarchive's own filter for gzip does not look at the checksum; zlib does.
  static la_ssize_t read_gzip(struct archive* a, void* self, const void** data) {
    return guarded(a, self, data, [](ArchiveReader& reader) { return reader.gzip_->read(); });
  }
  // Up to the end: what is missing there libarchive notices when it reads on.
  static la_int64_t skip(struct archive*, void* self, la_int64_t request) {
    auto& reader = *static_cast<ArchiveReader*>(self);
    const std::uint64_t left = reader.input_->size() - std::min(reader.position_, reader.input_->size());
    const std::uint64_t skipped = std::min(left, static_cast<std::uint64_t>(request));
    reader.position_ += skipped;
    return static_cast<la_int64_t>(skipped);
  }
  static la_int64_t seek(struct archive* a, void* self, la_int64_t offset, int whence) {
    auto& reader = *static_cast<ArchiveReader*>(self);
    const auto from = whence == SEEK_SET   ? la_int64_t{0}
                      : whence == SEEK_CUR ? static_cast<la_int64_t>(reader.position_)
                                           : static_cast<la_int64_t>(reader.input_->size());
    if (offset < -from) {
      ::archive_set_error(a, EINVAL, "%s", "a position before the beginning");
      return ARCHIVE_FATAL;
    }
    reader.position_ = static_cast<std::uint64_t>(from + offset);
    return from + offset;
  }
};

ArchiveReader::ArchiveReader(std::shared_ptr<ArchiveInput> input) : input_(std::move(input)) {
  const Locale locale;
  if (GzipReader::is_gzip(*input_)) gzip_ = std::make_unique<GzipReader>(*input_);
  archive_.reset(::archive_read_new());
  if (!archive_) throw std::bad_alloc();
  struct archive* a = archive_.get();
  // Each by name: the others of libarchive start programs, or are parsers that nobody needs here.
  ::archive_read_support_filter_bzip2(a);
  ::archive_read_support_filter_xz(a);
  ::archive_read_support_filter_zstd(a);
  ::archive_read_support_format_tar(a);
  ::archive_read_support_format_zip_seekable(a);
  // Reads on after the end mark, so that the checksums at the end of packed files are seen.
  ::archive_read_set_options(a, "tar:read_concatenated_archives");
  ::archive_read_set_callback_data(a, this);
  if (gzip_) {
    ::archive_read_set_read_callback(a, Callbacks::read_gzip);
  } else {
    ::archive_read_set_read_callback(a, Callbacks::read);
    ::archive_read_set_skip_callback(a, Callbacks::skip);
    ::archive_read_set_seek_callback(a, Callbacks::seek);
  }
  const int result = ::archive_read_open1(a);
  rethrow();
  if (result != ARCHIVE_OK) fail_to_open(reason(a));
}

void ArchiveReader::rethrow() {
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
}

void ArchiveReader::fail_to_open(const std::string& why) const {
  const std::string magic = input_->text(0, kMember.size());
  if (magic == kEndOfList) throw Error(path() + " is a zip archive without members; remove it");
  if (magic == kMember) {
    // libarchive looks for the list in the last 16 KiB only.
    if (const std::string tail = end(kZipEnd + kLongestComment); tail.rfind(kEndOfList) != std::string::npos)
      throw Error(path() + " is a zip archive that ends with a comment of " +
                  std::to_string(tail.size() - tail.rfind(kEndOfList) - kZipEnd) +
                  " bytes, more than can be read; remove the comment (zip -z)");
    throw Error(path() +
                " is a zip file that was cut short: the list of its members, at its end, is missing; copy or "
                "download it again");
  }
  throw Error("expected a tar or zip archive, got " + path() + " (" + why + ")");
}

std::string ArchiveReader::end(std::uint64_t bytes) const {
  bytes = std::min(bytes, file_bytes());
  std::string out = input_->text(file_bytes() - bytes, bytes);
  if (out.size() < bytes) throw Error("cannot read the end of " + path());
  return out;
}

ArchiveReader::~ArchiveReader() = default;

void ArchiveReader::fail(const std::string& text) const {
  throw Error(path() + " is damaged at byte " + std::to_string(::archive_filter_bytes(archive_.get(), -1)) +
              ", " +
              (count_ > 0 ? "in or after member " + std::to_string(count_) + " '" + name_ + "'"
                          : std::string("at its first member")) +
              ": " + text + "; get the file again");
}

bool ArchiveReader::next() {
  const Locale locale;
  struct archive* a = archive_.get();
  const int result = ::archive_read_next_header(a, &entry_);
  rethrow();
  if (result == ARCHIVE_EOF) {
    check_end();
    return false;
  }
  // A warning is about something that is not used here: an owner's name, a time.
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) fail(reason(a));
  ++count_;
  const char* name = ::archive_entry_pathname(entry_);
  if (name == nullptr) name = ::archive_entry_pathname_utf8(entry_);
  const std::string_view found = name != nullptr ? name : "";
  if (found.size() > kLongestName) {
    name_ = std::string(found.substr(0, 40)) + "...";
    throw Error(path() + ": member " + std::to_string(count_) + ", '" + name_ + "', has a name of " +
                std::to_string(found.size()) + " bytes, more than the " + std::to_string(kLongestName) +
                " of any file: it is damaged, or made to fill the memory");
  }
  name_ = found;
  if (::archive_entry_is_encrypted(entry_) != 0)
    throw Error("'" + name_ + "' in " + path() +
                " is encrypted; unpack the archive and pack it without a password");
  const auto type = ::archive_entry_filetype(entry_);
  kind_ = ::archive_entry_hardlink(entry_) != nullptr || type == AE_IFLNK ? Kind::Link
          : type == AE_IFDIR                                              ? Kind::Folder
          : type == AE_IFREG                                              ? Kind::File
                                                                          : Kind::Special;
  size_.reset();
  if (::archive_entry_size_is_set(entry_) != 0)
    size_ = static_cast<std::uint64_t>(std::max<std::int64_t>(0, ::archive_entry_size(entry_)));
  check_growth();
  return true;
}

// By position for packed streams, and by headers for zip, where data may serve several members.
void ArchiveReader::check_growth() {
  members_bytes_ += std::min(size_.value_or(0), std::uint64_t{1} << 50);
  const auto position =
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, ::archive_filter_bytes(archive_.get(), 0)));
  if (std::max(position, members_bytes_) > kUnsuspicious + kMostGrowth * file_bytes())
    throw Error(path() + " has " + std::to_string(file_bytes()) + " bytes and unpacks to more than " +
                std::to_string(kMostGrowth) + " times that by member " + std::to_string(count_) +
                ": it is damaged, or made to keep readers busy");
}

// Members are told apart by where their data are: two of the list with the same place become one.
void ArchiveReader::check_list() const {
  const std::string tail = end(kZipEnd + kLongestComment);
  const std::size_t at = tail.rfind(kEndOfList);
  if (at == std::string::npos || tail.size() - at < kZipEnd) return;
  const auto number = [&](std::size_t offset, std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = bytes; i-- > 0;)
      value = value << 8U | static_cast<unsigned char>(tail[at + offset + i]);
    return value;
  };
  // Of larger ones the last 16 bits are enough.
  const std::uint64_t listed = number(10, 2);
  if (listed == kInZip64 || listed == count_ % (kInZip64 + 1)) return;
  throw Error(path() + " lists " + std::to_string(listed) + " members, of which " + std::to_string(count_) +
              " have data of their own; unpack it and pack it again");
}

// What is skipped in a plain tar is not read: where it should be, the file may have ended.
void ArchiveReader::check_end() {
  struct archive* a = archive_.get();
  const int format = ::archive_format(a) & ARCHIVE_FORMAT_BASE_MASK;
  if (format == ARCHIVE_FORMAT_ZIP) check_list();
  if (gzip_) return;
  const auto passed = static_cast<std::uint64_t>(::archive_filter_bytes(archive_.get(), -1));
  if (passed > file_bytes())
    fail("it ends after " + std::to_string(file_bytes()) + " bytes, in the middle of that member");
  constexpr std::uint64_t kTwoBlocks = 1024;
  if (format == ARCHIVE_FORMAT_TAR && !is_packed())
    lacks_end_ = end(kTwoBlocks).find_first_not_of('\0') != std::string::npos;
}

bool ArchiveReader::is_packed() const {
  return gzip_ || ::archive_filter_code(archive_.get(), 0) != ARCHIVE_FILTER_NONE;
}

std::vector<std::uint8_t> ArchiveReader::read(std::uint64_t limit) {
  const Locale locale;
  const auto check = [&](std::uint64_t bytes, const char* verb) {
    if (bytes > limit)
      throw Reject("too-large", std::string("the member ") + verb + " " + std::to_string(bytes) +
                                    " bytes, more than max_bytes: " + std::to_string(limit));
  };
  const auto check_archive = [&](std::uint64_t bytes) {
    if (bytes > kUnsuspicious / 4 + 4 * file_bytes())
      throw Reject("too-large", "the member has at least " + std::to_string(bytes) +
                                    " bytes, the whole archive " + std::to_string(file_bytes()) +
                                    ": not an image");
  };
  if (size_) {
    check(*size_, "has");
    check_archive(*size_);
    if (!is_packed())
      input_->expect(static_cast<std::uint64_t>(::archive_filter_bytes(archive_.get(), -1)), *size_);
  }
  std::vector<std::uint8_t> data;
  std::size_t have = 0;
  for (;;) {
    constexpr std::size_t kFirst = 1 << 16;
    data.resize(std::max(kFirst, have * 2));
    const la_ssize_t n = ::archive_read_data(archive_.get(), data.data() + have, data.size() - have);
    rethrow();
    if (n < 0) throw Reject("corrupt", "the member cannot be read: " + reason(archive_.get()));
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
    check(have, "has at least");
    check_archive(have);
    if (size_ && have > *size_) break;
  }
  if (size_ && *size_ != have)
    throw Reject("corrupt", "expected " + std::to_string(*size_) + " bytes by the member's header, got " +
                                (have > *size_ ? "more" : std::to_string(have)));
  data.resize(have);
  data.shrink_to_fit();
  return data;
}

}  // namespace graft::source
