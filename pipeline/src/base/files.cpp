#include "base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/system_error.h>
#include <graft/text.h>

#include "base/attempt.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t kMaxInputBytes = 1ULL << 30;

/// For file systems that cannot do it in one step. Throws where they have no locks either. Gives an errno.
int rename_under_lock(const fs::path& temporary, const fs::path& path) {
  const FileHandle folder(::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return errno;
  while (::flock(folder.get(), LOCK_EX) != 0)
    if (errno != EINTR)
      throw Error(
          fmt::format("{}: this file system has neither hard links nor locks, so that what others write "
                      "could be replaced: choose another one",
                      file_error("link", path, errno)));
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) return EEXIST;
  return ::rename(temporary.c_str(), path.c_str()) == 0 ? 0 : errno;
}

/// Renaming a file would put it in their place: /dev/null and the like would be gone for everybody.
void require_replaceable(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode)) return;
  throw Error(
      S_ISDIR(info.st_mode)
          ? fmt::format("{} is a folder: expected the name of a file", path.string())
          : fmt::format("{} is a device, a pipe or a socket, which a file would replace: expected the "
                        "name of a file",
                        path.string()));
}

}  // namespace

bool is_out_of_disk(int error) {
  return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

void fail_to_write(const std::string& text, int error) {
  if (is_out_of_disk(error)) throw FatalError(text);
  throw Error(text);
}

FileHandle::~FileHandle() {
  if (fd_ >= 0) ::close(fd_);
}

std::string file_error(std::string_view doing, const fs::path& path, int error) {
  return fmt::format("cannot {} {}: {}", doing, path.string(), system_error_text(error));
}

int open_regular_file(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return -1;
  if (S_ISREG(info.st_mode)) {
    // What stands there now may be another file: it must not block either.
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0 || (::fstat(file, &info) == 0 && S_ISREG(info.st_mode))) return file;
    ::close(file);
  }
  errno = ENXIO;
  return -1;
}

Bytes read_input_file(const FileRef& file) {
  const FileHandle in(open_regular_file(file.path));
  if (!in && errno == ENXIO) throw Reject("not-a-file", "not a regular file");
  if (!in)
    throw Reject(errno == ENOENT ? "missing" : "unreadable",
                 "cannot open the file: " + system_error_text(errno));
  struct stat info {};
  if (::fstat(in.get(), &info) != 0)
    throw Reject("unreadable", "cannot stat the file: " + system_error_text(errno));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > kMaxInputBytes)
    throw Reject("too-large", fmt::format("{} is more than the {} an input may have", human_bytes(size),
                                          human_bytes(kMaxInputBytes)));
  std::shared_ptr<std::uint8_t[]> buffer(new std::uint8_t[size + 1]);
  std::size_t have = 0;
  while (have < size) {
    const ssize_t n = ::read(in.get(), buffer.get() + have, size - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Reject("unreadable", "cannot read the file: " + system_error_text(errno));
    if (n == 0) break;  // it shrank meanwhile: what is there is what it holds
    have += static_cast<std::size_t>(n);
  }
  return {buffer, buffer.get(), have};
}

std::string read_file(const fs::path& path) {
  const FileHandle in(open_regular_file(path));  // to open a FIFO would block for ever
  if (!in && (errno == ENOENT || errno == ENXIO)) throw Error(file_error("open", path, errno));
  if (!in) throw Unreadable(file_error("open", path, errno));
  std::string out;
  std::array<char, 1 << 16> buffer;
  for (;;) {
    const ssize_t n = ::read(in.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EISDIR) throw Error(file_error("read", path, errno));  // not what was written
    if (n < 0) throw Unreadable(file_error("read", path, errno));
    if (n == 0) return out;
    out.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

void write_all(int fd, std::span<const std::uint8_t> data, const fs::path& path) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      fail_to_write(fmt::format("{} ({} still to be written)", file_error("write", path, error),
                                human_bytes(data.size())),
                    error);
    }
    data = data.subspan(static_cast<std::size_t>(n));
  }
}

std::size_t read_at(int fd, void* to, std::size_t size, std::uint64_t offset, const fs::path& path) {
  auto* const at = static_cast<std::uint8_t*>(to);
  std::size_t have = 0;
  while (have < size) {
    const ssize_t n = ::pread(fd, at + have, size - have, static_cast<off_t>(offset + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Unreadable(file_error("read", path, errno));
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  return have;
}

void sync_file(int fd, const fs::path& path) {
  while (::fdatasync(fd) != 0)
    if (errno != EINTR) fail_to_write(file_error("sync", path, errno), errno);
}

bool link_without_replacing(const fs::path& temporary, const fs::path& path) {
  int error = 0;
  if (::link(temporary.c_str(), path.c_str()) != 0) error = errno;
  const auto is_missing = [](int e) {
    return e == EPERM || e == EOPNOTSUPP || e == ENOSYS || e == EMLINK || e == EINVAL;
  };
  if (is_missing(error))
    error =
        ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0 ? 0 : errno;
  if (is_missing(error)) error = rename_under_lock(temporary, path);
  // Some network file systems say EEXIST when they repeat a request whose first answer was lost.
  struct stat a {
  }, b{};
  const bool linked =
      error == 0 || (error == EEXIST && ::stat(temporary.c_str(), &a) == 0 && ::stat(path.c_str(), &b) == 0 &&
                     a.st_ino == b.st_ino && a.st_dev == b.st_dev);
  ::unlink(temporary.c_str());
  if (!linked && error != EEXIST) fail_to_write(file_error("link", path, error), error);
  return linked;
}

namespace {

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

[[noreturn]] void fail_to_create(std::string_view doing, const fs::path& named, const fs::path& folder,
                                 int error) {
  std::string text = file_error(doing, named, error);
  if (error == ENOTDIR) text += fmt::format("; {} is not a folder: choose another place", folder.string());
  if (error == ENOENT)
    text += fmt::format("; make the folder {} first, or choose another place", folder.string());
  if (error == EACCES || error == EPERM || error == EROFS)
    text += "; choose a place that this user can write to";
  fail_to_write(text, error);
}

}  // namespace

bool write_new_file(const fs::path& path, const std::function<void(int, const fs::path&)>& write) {
  const fs::path temporary = path.parent_path() / (new_attempt() + ".tmp");
  bool made = false;
  try {
    const FileHandle out(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!out) fail_to_write(file_error("create", temporary, errno), errno);
    write(out.get(), temporary);
    sync_file(out.get(), temporary);
    made = link_without_replacing(temporary, path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  if (made) sync_folder(path.parent_path());
  return made;
}

void write_file_atomically(const fs::path& path, std::string_view content) {
  write_file_atomically(path, [&](int fd) {
    write_all(fd, {reinterpret_cast<const std::uint8_t*>(content.data()), content.size()}, path);
  });
}

void write_file_atomically(const fs::path& path, const std::function<void(int)>& write, Naming naming) {
  require_replaceable(path);
  const fs::path temporary = fmt::format("{}.{}.tmp", path.string(), new_attempt());
  try {
    const FileHandle out =
        naming == Naming::AtTheEnd
            ? create_without_name(temporary)
            : FileHandle(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!out) fail_to_create("create", path, folder_of(path), errno);
    write(out.get());
    sync_file(out.get(), temporary);
    if (naming == Naming::AtTheEnd) give_name(out, temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0)
      fail_to_write(file_error("rename to", path, errno), errno);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_folder(folder_of(path));
}

void require_kind(const fs::path& path, std::initializer_list<std::string_view> begins,
                  std::string_view kind) {
  const FileHandle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) return;
  std::array<char, 64> head{};
  const ssize_t n = ::read(file.get(), head.data(), head.size());
  const std::string_view begin(head.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  if (std::none_of(begins.begin(), begins.end(), [&](std::string_view b) { return begin.starts_with(b); }))
    throw Error(fmt::format("{} exists and is not {}; choose another name", path.string(), kind));
}

void require_free_name(const fs::path& path) {
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(path, ignored)))
    throw Error(fmt::format("{} exists: remove it, or choose another file", path.string()));
}

fs::path place_of(const fs::path& path) {
  std::error_code ignored;
  const fs::path place = fs::weakly_canonical(fs::absolute(path, ignored), ignored);
  return place.has_filename() ? place : place.parent_path();  // "out/"
}

bool lies_in(const fs::path& path, const fs::path& folder) {
  if (path.empty()) return false;
  const fs::path inner = place_of(path), outer = place_of(folder);
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

FileHandle create_without_name(const fs::path& path) {
  const fs::path folder = folder_of(path);
  if (::access("/proc/self/fd", F_OK) == 0)
    if (FileHandle file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666)); file) return file;
  FileHandle file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file) fail_to_create("create a file in", folder, folder, errno);
  return file;
}

void give_name(const FileHandle& file, const fs::path& path) {
  const std::string own = fmt::format("/proc/self/fd/{}", file.get());
  if (::linkat(AT_FDCWD, own.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0 && errno != EEXIST)
    fail_to_write(file_error("create", path, errno), errno);
}

void sync_folder(const fs::path& folder) {
  const FileHandle handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!handle) throw Error(file_error("sync", folder, errno));
  while (::fsync(handle.get()) != 0) {
    // Some network file systems cannot sync a folder and say EINVAL; they order renames themselves.
    if (errno == EINVAL) return;
    if (errno != EINTR) fail_to_write(file_error("sync", folder, errno), errno);
  }
}

void make_folders(const fs::path& folder, std::string_view cure) {
  std::error_code error;
  std::vector<fs::path> missing;
  for (fs::path p = folder; !p.empty() && !fs::exists(p, error); p = p.parent_path()) missing.push_back(p);
  fs::create_directories(folder, error);
  if (error) {
    std::error_code ignored;
    const bool gone = folder.is_relative() && fs::current_path(ignored).empty();
    std::string text = fmt::format("cannot make the folder {}: {}", folder.string(),
                                   gone ? "the current folder no longer exists" : error.message());
    if (!cure.empty() && !is_out_of_disk(error.value())) text += fmt::format("; {}", cure);
    fail_to_write(text, error.value());
  }
  for (const fs::path& made : missing) sync_folder(made.has_parent_path() ? made.parent_path() : ".");
}

}  // namespace graft
