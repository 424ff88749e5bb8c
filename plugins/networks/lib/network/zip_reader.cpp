#include "zip_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>

#include "printable.h"

namespace graft::nn {

struct ZipReader::Source {
  const InputFile* file;
  std::int64_t at = 0;
  std::vector<char> block = std::vector<char>(std::size_t{64} << 10);

  static la_ssize_t read(archive* a, void* self, const void** out) {
    auto& source = *static_cast<Source*>(self);
    const auto left = static_cast<std::int64_t>(source.file->size()) - source.at;
    const auto n = static_cast<std::size_t>(
        std::clamp<std::int64_t>(left, 0, static_cast<std::int64_t>(source.block.size())));
    // libarchive is C: nothing may be thrown through it.
    try {
      source.file->read(static_cast<std::uint64_t>(source.at), source.block.data(), n);
    } catch (const std::exception& fault) {
      archive_set_error(a, EIO, "%s", fault.what());
      return -1;
    }
    source.at += static_cast<std::int64_t>(n);
    *out = source.block.data();
    return static_cast<la_ssize_t>(n);
  }
  static la_int64_t seek(archive*, void* self, la_int64_t offset, int whence) {
    auto& source = *static_cast<Source*>(self);
    const auto size = static_cast<std::int64_t>(source.file->size());
    const std::int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? source.at : size;
    source.at = std::clamp<std::int64_t>(from + offset, 0, size);
    return source.at;
  }
  static la_int64_t skip(archive*, void* self, la_int64_t count) {
    auto& source = *static_cast<Source*>(self);
    const auto left = static_cast<std::int64_t>(source.file->size()) - source.at;
    const std::int64_t n = std::clamp<std::int64_t>(count, 0, left);
    source.at += n;
    return n;
  }
};

namespace {

/// Names in an archive are UTF-8, but libarchive makes them text of the thread's locale, which in "C" loses
/// every letter beyond ASCII, and the rest of the name with it.
class Utf8Locale {
 public:
  Utf8Locale() : utf8_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)), before_(::uselocale(utf8_)) {}
  ~Utf8Locale() {
    ::uselocale(before_);
    if (utf8_ != nullptr) ::freelocale(utf8_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  locale_t utf8_, before_;
};

}  // namespace

void ZipReader::Close::operator()(archive* a) const {
  archive_read_free(a);
}

ZipReader::ZipReader(const InputFile& file, std::uint64_t most)
    : file_(file), source_(std::make_shared<Source>()), archive_(archive_read_new()), most_(most) {
  source_->file = &file;
  archive* a = archive_.get();
  // Only zip, read by its directory: the same bytes must not be another archive to somebody else.
  if (a == nullptr || archive_read_support_format_zip_seekable(a) != ARCHIVE_OK ||
      archive_read_set_seek_callback(a, Source::seek) != ARCHIVE_OK ||
      archive_read_open2(a, source_.get(), nullptr, Source::read, Source::skip, nullptr) != ARCHIVE_OK)
    fail("cannot be opened");
}

bool ZipReader::next() {
  const Utf8Locale utf8;
  archive_entry* entry = nullptr;
  const int outcome = archive_read_next_header(archive_.get(), &entry);
  if (outcome == ARCHIVE_EOF) return false;
  // A warning here is a name that is no UTF-8.
  if (outcome != ARCHIVE_OK && outcome != ARCHIVE_WARN) fail("cannot be read");
  const char* name = archive_entry_pathname_utf8(entry);
  if (name == nullptr) name = archive_entry_pathname(entry);
  entry_.name = name == nullptr ? "" : name;
  const std::int64_t size = archive_entry_size_is_set(entry) != 0 ? archive_entry_size(entry) : -1;
  entry_.size = size < 0 ? 0 : static_cast<std::uint64_t>(size);
  return true;
}

std::size_t ZipReader::read(void* out, std::size_t size) {
  const la_ssize_t got = archive_read_data(archive_.get(), out, size);
  if (got < 0) fail("cannot be read");
  unpacked_ += static_cast<std::uint64_t>(got);
  if (unpacked_ > most_)
    throw Error(fmt::format(
        "{}: unpacks to more than the {} bytes of the file (at '{}'): expected entries that are not "
        "compressed; save the state_dict again with torch.save",
        file_.path().string(), file_.size(), printable(entry_.name)));
  return static_cast<std::size_t>(got);
}

void ZipReader::fail(const char* doing) const {
  const char* why = archive_ ? archive_error_string(archive_.get()) : nullptr;
  throw Error(
      fmt::format("{}: {} as the zip archive of torch.save: {}{}; it is truncated or damaged: copy it again",
                  file_.path().string(), doing, why == nullptr ? "no reason given" : printable(why),
                  entry_.name.empty() ? "" : fmt::format(" (at '{}')", printable(entry_.name))));
}

std::string read_entry(ZipReader& zip, std::size_t limit) {
  // One byte more than there should be: only a read that finds none has compared the checksum.
  std::string out(std::min<std::uint64_t>(zip.entry().size, limit) + 1, '\0');
  std::size_t at = 0;
  while (at < out.size()) {
    const std::size_t n = zip.read(out.data() + at, out.size() - at);
    if (n == 0) break;
    at += n;
  }
  out.resize(std::min(at, out.size() - 1));
  return out;
}

}  // namespace graft::nn
