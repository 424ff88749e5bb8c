#include <source/archive_reader.h>

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>
#include <utility>

#include <graft/error.h>

namespace graft::source {
namespace {

constexpr std::size_t kBlock = 1 << 17, kLongestName = 4096;

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

ArchiveReader::ArchiveReader(std::string path) : path_(std::move(path)) {
  const Locale locale;
  struct stat info {};
  if (::stat(path_.c_str(), &info) != 0) throw Error("cannot open " + path_ + ": " + std::strerror(errno));
  if (!S_ISREG(info.st_mode)) throw Error("expected an archive, got no regular file: " + path_);
  file_bytes_ = static_cast<std::uint64_t>(info.st_size);
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
  const int result = open_gzip() ? ::archive_read_open2(a, this, nullptr, read_gzip, nullptr, nullptr)
                                 : ::archive_read_open_filename(a, path_.c_str(), kBlock);
  if (result != ARCHIVE_OK) fail_to_open(reason(a));
}

void ArchiveReader::fail_to_open(const std::string& why) const {
  std::ifstream file(path_, std::ios::binary);
  char begin[4] = {};
  file.read(begin, sizeof begin);
  const std::string_view magic(begin, static_cast<std::size_t>(file.gcount()));
  if (magic == kEndOfList) throw Error(path_ + " is a zip archive without members; remove it");
  if (magic == kMember) {
    // libarchive looks for the list in the last 16 KiB only.
    if (const std::string tail = end(kZipEnd + kLongestComment); tail.rfind(kEndOfList) != std::string::npos)
      throw Error(path_ + " is a zip archive that ends with a comment of " +
                  std::to_string(tail.size() - tail.rfind(kEndOfList) - kZipEnd) +
                  " bytes, more than can be read; remove the comment (zip -z)");
    throw Error(path_ +
                " is a zip file that was cut short: the list of its members, at its end, is missing; copy or "
                "download it again");
  }
  throw Error("expected a tar or zip archive, got " + path_ + " (" + why + ")");
}

std::string ArchiveReader::end(std::uint64_t bytes) const {
  std::ifstream file(path_, std::ios::binary);
  std::string out(std::min(bytes, file_bytes_), '\0');
  file.seekg(static_cast<std::streamoff>(file_bytes_ - out.size()));
  if (!file.read(out.data(), static_cast<std::streamsize>(out.size())))
    throw Error("cannot read the end of " + path_);
  return out;
}

bool ArchiveReader::open_gzip() {
  const gzFile file = ::gzopen(path_.c_str(), "rbe");
  if (file == nullptr) throw Error("cannot open " + path_ + ": " + std::strerror(errno));
  gzip_ = std::shared_ptr<void>(file, [](void* f) { ::gzclose_r(static_cast<gzFile>(f)); });
  ::gzbuffer(file, kBlock);
  if (::gzdirect(file) == 0) {
    unpacked_.resize(kBlock);
    return true;
  }
  gzip_.reset();
  return false;
}

// libarchive's own filter for gzip does not look at the checksum; zlib does.
ssize_t ArchiveReader::read_gzip(struct archive* a, void* self, const void** data) {
  auto& reader = *static_cast<ArchiveReader*>(self);
  const auto file = static_cast<gzFile>(reader.gzip_.get());
  const int n = ::gzread(file, reader.unpacked_.data(), static_cast<unsigned>(reader.unpacked_.size()));
  int error = Z_OK;
  const char* text = ::gzerror(file, &error);
  // A file that is cut off reads as a short one, with Z_BUF_ERROR.
  if (n < 0 || error != Z_OK) {
    ::archive_set_error(a, EIO, "%s", error == Z_ERRNO ? std::strerror(errno) : text);
    return ARCHIVE_FATAL;
  }
  *data = reader.unpacked_.data();
  return n;
}

ArchiveReader::~ArchiveReader() = default;

void ArchiveReader::fail(const std::string& text) const {
  throw Error(path_ + " is damaged at byte " + std::to_string(::archive_filter_bytes(archive_.get(), -1)) +
              ", " +
              (count_ > 0 ? "in or after member " + std::to_string(count_) + " '" + name_ + "'"
                          : std::string("at its first member")) +
              ": " + text + "; get the file again");
}

bool ArchiveReader::next() {
  const Locale locale;
  struct archive* a = archive_.get();
  const int result = ::archive_read_next_header(a, &entry_);
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
    throw Error(path_ + ": member " + std::to_string(count_) + ", '" + name_ + "', has a name of " +
                std::to_string(found.size()) + " bytes, more than the " + std::to_string(kLongestName) +
                " of any file: it is damaged, or made to fill the memory");
  }
  name_ = found;
  if (::archive_entry_is_encrypted(entry_) != 0)
    throw Error("'" + name_ + "' in " + path_ +
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
  if (std::max(position, members_bytes_) > kUnsuspicious + kMostGrowth * file_bytes_)
    throw Error(path_ + " has " + std::to_string(file_bytes_) + " bytes and unpacks to more than " +
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
  throw Error(path_ + " lists " + std::to_string(listed) + " members, of which " + std::to_string(count_) +
              " have data of their own; unpack it and pack it again");
}

// What is skipped in a plain tar is not read: where it should be, the file may have ended.
void ArchiveReader::check_end() {
  struct archive* a = archive_.get();
  const int format = ::archive_format(a) & ARCHIVE_FORMAT_BASE_MASK;
  if (format == ARCHIVE_FORMAT_ZIP) check_list();
  if (gzip_) return;
  const auto passed = static_cast<std::uint64_t>(::archive_filter_bytes(archive_.get(), -1));
  if (passed > file_bytes_)
    fail("it ends after " + std::to_string(file_bytes_) + " bytes, in the middle of that member");
  constexpr std::uint64_t kTwoBlocks = 1024;
  if (format == ARCHIVE_FORMAT_TAR && ::archive_filter_code(a, 0) == ARCHIVE_FILTER_NONE)
    lacks_end_ = end(kTwoBlocks).find_first_not_of('\0') != std::string::npos;
}

std::vector<std::uint8_t> ArchiveReader::read(std::uint64_t limit) {
  const Locale locale;
  const auto check = [&](std::uint64_t bytes, const char* verb) {
    if (bytes > limit)
      throw Reject("too-large", std::string("the member ") + verb + " " + std::to_string(bytes) +
                                    " bytes, more than max_bytes: " + std::to_string(limit));
  };
  const auto check_archive = [&](std::uint64_t bytes) {
    if (bytes > kUnsuspicious / 4 + 4 * file_bytes_)
      throw Reject("too-large", "the member has at least " + std::to_string(bytes) +
                                    " bytes, the whole archive " + std::to_string(file_bytes_) +
                                    ": not an image");
  };
  if (size_) {
    check(*size_, "has");
    check_archive(*size_);
  }
  std::vector<std::uint8_t> data;
  std::size_t have = 0;
  for (;;) {
    constexpr std::size_t kFirst = 1 << 16;
    data.resize(std::max(kFirst, have * 2));
    const la_ssize_t n = ::archive_read_data(archive_.get(), data.data() + have, data.size() - have);
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
