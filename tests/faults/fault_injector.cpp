// Preloaded into a program (LD_PRELOAD), this makes the operating system fail for the files of one folder.
// The system is called directly, never through the C library, so that it works before any constructor has
// run.
//
//   GRAFT_FAULT_FOLDER   the folder, absolute; all else is let through
//   GRAFT_FAULT_KILL     <n>:before|torn|after|stop: SIGKILL at the n-th operation that changes something
//                        (torn: half of a write is done), or SIGSTOP before it
//   GRAFT_FAULT_STOP     SIGSTOP before the first operation on a path that contains this text
//   GRAFT_FAULT_STOP_READ  the same before the first read of such a file
//   GRAFT_FAULT_ERROR    <class>:<n>:<errno>:once|always|half: the n-th operation of a class fails (read,
//                        write, sync, link, rename, unlink, create, truncate, folder), or all from then on;
//                        half: the n-th is cut short, as where a disk fills up, and all later ones fail
//   GRAFT_FAULT_MILD     reads and writes are cut short or interrupted (EINTR), syncs interrupted, in turn
//   GRAFT_FAULT_FLOCK    flock, and fcntl for locks of open files, fail with this errno
//   GRAFT_FAULT_NO_LINKS there are neither hard links (EPERM) nor renames that do not replace (EINVAL)
//   GRAFT_FAULT_NETWORK  the folder lies on NFS, so to speak: other machines may have mounted it
//   GRAFT_FAULT_SLOW     <milliseconds>:<file>: opening a file to read it takes this long; the file is made
//   when two
//                        threads wait at once
//   GRAFT_FAULT_RECORD   file to append every operation to (recorded_operation.h), with what goes to stdout

#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>

#include "recorded_operation.h"

namespace {

using graft::test::Operation;
using graft::test::RecordedOperation;

enum class Moment { Before, Torn, After, Stop };

struct Settings {
  const char* folder = nullptr;
  long kill_at = 0;
  Moment moment = Moment::Before;
  char failing[16] = "";
  long fail_at = 0;
  int error = 0;
  bool always = false, half = false;
  bool mild = false;
  int flock_error = 0;
  bool no_links = false;
  bool network = false;
  const char* stop_at = nullptr;
  const char* stop_read_at = nullptr;
  long slow_ms = 0;
  const char* together = nullptr;
  int record = -1;
};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
Settings settings;
pthread_once_t settings_once = PTHREAD_ONCE_INIT;
long changes = 0, failing_seen = 0, mild_turn = 0;

class Lock {
 public:
  Lock() { pthread_mutex_lock(&mutex); }
  ~Lock() { pthread_mutex_unlock(&mutex); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
};

void load_settings() {
  char word[16] = "";
  if (const char* text = getenv("GRAFT_FAULT_KILL"); text != nullptr) {
    sscanf(text, "%ld:%15s", &settings.kill_at, word);
    if (strcmp(word, "torn") == 0) settings.moment = Moment::Torn;
    if (strcmp(word, "after") == 0) settings.moment = Moment::After;
    if (strcmp(word, "stop") == 0) settings.moment = Moment::Stop;
  }
  if (const char* text = getenv("GRAFT_FAULT_ERROR"); text != nullptr) {
    sscanf(text, "%15[^:]:%ld:%d:%15s", settings.failing, &settings.fail_at, &settings.error, word);
    settings.half = strcmp(word, "half") == 0;
    settings.always = settings.half || strcmp(word, "always") == 0;
  }
  if (const char* text = getenv("GRAFT_FAULT_SLOW"); text != nullptr) {
    settings.slow_ms = atol(text);
    settings.together = strchr(text, ':') == nullptr ? nullptr : strchr(text, ':') + 1;
  }
  settings.mild = getenv("GRAFT_FAULT_MILD") != nullptr;
  settings.stop_at = getenv("GRAFT_FAULT_STOP");
  settings.stop_read_at = getenv("GRAFT_FAULT_STOP_READ");
  settings.no_links = getenv("GRAFT_FAULT_NO_LINKS") != nullptr;
  settings.network = getenv("GRAFT_FAULT_NETWORK") != nullptr;
  if (const char* text = getenv("GRAFT_FAULT_FLOCK"); text != nullptr) settings.flock_error = atoi(text);
  if (const char* text = getenv("GRAFT_FAULT_RECORD"); text != nullptr)
    settings.record = static_cast<int>(
        syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  settings.folder = getenv("GRAFT_FAULT_FOLDER");
}

void read_settings() {
  pthread_once(&settings_once, load_settings);
}

/// The path of an open file, or one made absolute.
class Path {
 public:
  explicit Path(int fd) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, text_, sizeof text_ - 1);
    text_[n < 0 ? 0 : n] = 0;
  }
  Path(int folder, const char* path) {
    if (path[0] == '/') {
      snprintf(text_, sizeof text_, "%s", path);
      return;
    }
    if (folder == AT_FDCWD) {
      if (syscall(SYS_getcwd, text_, sizeof text_) < 0) text_[0] = 0;
    } else {
      memcpy(text_, Path(folder).text_, sizeof text_);
    }
    const size_t n = strlen(text_);
    snprintf(text_ + n, sizeof text_ - n, "/%s", path);
  }
  const char* text() const { return text_; }
  /// Whether faults are wanted here.
  bool ours() const {
    const char* folder = settings.folder;
    if (folder == nullptr) return false;
    const size_t n = strlen(folder);
    return strncmp(text_, folder, n) == 0 && (text_[n] == '/' || text_[n] == 0);
  }

 private:
  char text_[PATH_MAX];
};

const char* class_of(Operation operation) {
  switch (operation) {
    case Operation::Create:
      return "create";
    case Operation::Write:
      return "write";
    case Operation::Truncate:
      return "truncate";
    case Operation::Sync:
      return "sync";
    case Operation::Link:
      return "link";
    case Operation::Rename:
      return "rename";
    case Operation::Unlink:
      return "unlink";
    case Operation::MakeFolder:
    case Operation::RemoveFolder:
      return "folder";
    case Operation::Read:
      return "read";
    case Operation::Say:
      break;
  }
  return "";
}

std::uint64_t inode_of(int fd) {
  struct stat info {};
  return fd >= 0 && fstat(fd, &info) == 0 ? info.st_ino : 0;
}

struct Call {
  Operation operation;
  const char* path;
  int fd = -1;
  size_t bytes = 0;
  const void* data = nullptr;
  std::uint64_t offset = 0;
  const char* other = "";
};

void record(const Call& call, long result) {
  if (settings.record < 0) return;
  RecordedOperation header;
  header.operation = call.operation;
  header.path_bytes = static_cast<std::uint32_t>(strlen(call.path));
  header.other_bytes = static_cast<std::uint32_t>(strlen(call.other));
  header.file = inode_of(call.operation == Operation::Create ? static_cast<int>(result) : call.fd);
  header.offset = call.offset;
  header.data_bytes = call.data == nullptr ? 0 : static_cast<std::uint64_t>(result);
  iovec parts[4] = {{&header, sizeof header},
                    {const_cast<char*>(call.path), header.path_bytes},
                    {const_cast<char*>(call.other), header.other_bytes},
                    {const_cast<void*>(call.data), header.data_bytes}};
  syscall(SYS_writev, settings.record, parts, 4);
}

[[noreturn]] void die() {
  for (;;) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
}

/// One operation, with whatever is to happen to it. `perform` gets the number of bytes to read or write.
template <typename Perform>
long act(const Call& call, const Perform& perform) {
  const Lock lock;
  const char*& stop_at = call.operation == Operation::Read ? settings.stop_read_at : settings.stop_at;
  if (stop_at != nullptr &&
      (strstr(call.path, stop_at) != nullptr || strstr(call.other, stop_at) != nullptr)) {
    stop_at = nullptr;
    syscall(SYS_kill, syscall(SYS_getpid), SIGSTOP);
  }
  size_t bytes = call.bytes;
  if (settings.fail_at > 0 && strcmp(settings.failing, class_of(call.operation)) == 0) {
    const long n = ++failing_seen;
    if (n == settings.fail_at && settings.half && bytes > 1) {
      bytes /= 2;
    } else if (n == settings.fail_at || (settings.always && n > settings.fail_at)) {
      errno = settings.error;
      return -1;
    }
  }
  if (settings.mild && (bytes > 0 || call.operation == Operation::Sync)) {
    const long turn = mild_turn++ % 3;
    if (turn == 0) {
      errno = EINTR;
      return -1;
    }
    if (turn == 1) bytes = (bytes + 1) / 2;
  }
  bool kill = call.operation != Operation::Read && ++changes == settings.kill_at;
  if (kill && settings.moment == Moment::Stop) {
    syscall(SYS_kill, syscall(SYS_getpid), SIGSTOP);
    kill = false;
  }
  if (kill && settings.moment == Moment::Torn && call.operation == Operation::Write) perform(bytes / 2);
  if (kill && settings.moment != Moment::After) die();
  const long result = perform(bytes);
  if (kill) die();
  const int error = errno;
  if (result >= 0 && call.operation != Operation::Read) record(call, result);
  errno = error;
  return result;
}

/// As a file system does that is far away: any number of threads wait at once.
void wait_slowly() {
  static std::atomic<int> waiting{0};
  if (++waiting > 1 && settings.together != nullptr)
    syscall(SYS_close,
            syscall(SYS_openat, AT_FDCWD, settings.together, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  const timespec time{settings.slow_ms / 1000, settings.slow_ms % 1000 * 1000000};
  nanosleep(&time, nullptr);
  --waiting;
}

int open_file(int folder, const char* name, int flags, mode_t mode) {
  read_settings();
  const auto perform = [&](size_t) { return syscall(SYS_openat, folder, name, flags, mode); };
  const Path path(folder, name);
  if (path.ours() && settings.slow_ms > 0 && (flags & O_DIRECTORY) == 0) wait_slowly();
  if (!path.ours() || (flags & (O_CREAT | O_TRUNC)) == 0) return static_cast<int>(perform(0));
  struct stat info {};
  if (stat(path.text(), &info) != 0)
    return static_cast<int>(act({.operation = Operation::Create, .path = path.text()}, perform));
  if ((flags & O_TRUNC) == 0) return static_cast<int>(perform(0));
  const int before = static_cast<int>(syscall(SYS_openat, folder, name, O_PATH | O_CLOEXEC, 0));
  const int fd =
      static_cast<int>(act({.operation = Operation::Truncate, .path = path.text(), .fd = before}, perform));
  const int error = errno;
  syscall(SYS_close, before);
  errno = error;
  return fd;
}

std::uint64_t position(int fd) {
  const long flags = syscall(SYS_fcntl, fd, F_GETFL);
  struct stat info {};
  if ((flags & O_APPEND) != 0 && fstat(fd, &info) == 0) return static_cast<std::uint64_t>(info.st_size);
  return static_cast<std::uint64_t>(syscall(SYS_lseek, fd, 0, SEEK_CUR));
}

ssize_t write_at(int fd, const void* data, size_t size, bool positioned, off_t at) {
  read_settings();
  const auto perform = [&](size_t n) {
    return positioned ? syscall(SYS_pwrite64, fd, data, n, at) : syscall(SYS_write, fd, data, n);
  };
  if (fd == STDOUT_FILENO && settings.record >= 0) {
    const long result = perform(size);
    const Lock lock;
    if (result >= 0) record({.operation = Operation::Say, .path = "", .data = data}, result);
    return result;
  }
  const Path path(fd);
  if (!path.ours()) return perform(size);
  return act({.operation = Operation::Write,
              .path = path.text(),
              .fd = fd,
              .bytes = size,
              .data = data,
              .offset = positioned ? static_cast<std::uint64_t>(at) : position(fd)},
             perform);
}

ssize_t read_at(int fd, void* data, size_t size, bool positioned, off_t at) {
  read_settings();
  const auto perform = [&](size_t n) {
    return positioned ? syscall(SYS_pread64, fd, data, n, at) : syscall(SYS_read, fd, data, n);
  };
  const Path path(fd);
  if (!path.ours()) return perform(size);
  return act({.operation = Operation::Read, .path = path.text(), .fd = fd, .bytes = size}, perform);
}

int on_open_file(Operation operation, int fd, std::uint64_t size, long number) {
  read_settings();
  const auto perform = [&](size_t) { return syscall(number, fd, size); };
  const Path path(fd);
  if (!path.ours()) return static_cast<int>(perform(0));
  return static_cast<int>(
      act({.operation = operation, .path = path.text(), .fd = fd, .offset = size}, perform));
}

template <typename Perform>
int on_name(Operation operation, const Path& path, const Perform& perform) {
  read_settings();
  if (!path.ours()) return static_cast<int>(perform(0));
  return static_cast<int>(act({.operation = operation, .path = path.text()}, perform));
}

template <typename Perform>
int on_names(Operation operation, const Path& from, const Path& to, const Perform& perform) {
  read_settings();
  if (!to.ours()) return static_cast<int>(perform(0));
  return static_cast<int>(act({.operation = operation, .path = from.text(), .other = to.text()}, perform));
}

int unlink_name(int folder, const char* name, int flags) {
  return on_name((flags & AT_REMOVEDIR) != 0 ? Operation::RemoveFolder : Operation::Unlink,
                 Path(folder, name), [&](size_t) { return syscall(SYS_unlinkat, folder, name, flags); });
}

int rename_name(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  return on_names(Operation::Rename, Path(from_folder, from), Path(to_folder, to), [&](size_t) -> long {
    if (settings.no_links && flags != 0) {
      errno = EINVAL;
      return -1;
    }
    return syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
  });
}

int link_name(int from_folder, const char* from, int to_folder, const char* to, int flags) {
  return on_names(Operation::Link, Path(from_folder, from), Path(to_folder, to), [&](size_t) -> long {
    if (settings.no_links) {
      errno = EPERM;
      return -1;
    }
    return syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
  });
}

int control_file(int fd, int command, void* argument) {
  read_settings();
  const bool lock = command == F_OFD_SETLK || command == F_OFD_SETLKW || command == F_OFD_GETLK;
  if (settings.flock_error != 0 && lock && Path(fd).ours()) {
    errno = settings.flock_error;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fcntl, fd, command, argument));
}

mode_t mode_argument(int flags, va_list arguments) {
  return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_argument(flags, arguments);
  va_end(arguments);
  return open_file(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_argument(flags, arguments);
  va_end(arguments);
  return open_file(AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_argument(flags, arguments);
  va_end(arguments);
  return open_file(folder, path, flags, mode);
}
int openat64(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_argument(flags, arguments);
  va_end(arguments);
  return open_file(folder, path, flags, mode);
}
int creat(const char* path, mode_t mode) {
  return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int creat64(const char* path, mode_t mode) {
  return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
ssize_t write(int fd, const void* data, size_t size) {
  return write_at(fd, data, size, false, 0);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  return write_at(fd, data, size, true, at);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  return write_at(fd, data, size, true, at);
}
ssize_t read(int fd, void* data, size_t size) {
  return read_at(fd, data, size, false, 0);
}
ssize_t pread(int fd, void* data, size_t size, off_t at) {
  return read_at(fd, data, size, true, at);
}
ssize_t pread64(int fd, void* data, size_t size, off64_t at) {
  return read_at(fd, data, size, true, at);
}
int fsync(int fd) {
  return on_open_file(Operation::Sync, fd, 0, SYS_fsync);
}
int fdatasync(int fd) {
  return on_open_file(Operation::Sync, fd, 0, SYS_fdatasync);
}
int ftruncate(int fd, off_t size) noexcept {
  return on_open_file(Operation::Truncate, fd, static_cast<std::uint64_t>(size), SYS_ftruncate);
}
int ftruncate64(int fd, off64_t size) noexcept {
  return on_open_file(Operation::Truncate, fd, static_cast<std::uint64_t>(size), SYS_ftruncate);
}
int rename(const char* from, const char* to) noexcept {
  return rename_name(AT_FDCWD, from, AT_FDCWD, to, 0);
}
int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
  return rename_name(from_folder, from, to_folder, to, 0);
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept {
  return rename_name(from_folder, from, to_folder, to, flags);
}
int link(const char* from, const char* to) noexcept {
  return link_name(AT_FDCWD, from, AT_FDCWD, to, 0);
}
int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
  return link_name(from_folder, from, to_folder, to, flags);
}
int unlink(const char* path) noexcept {
  return unlink_name(AT_FDCWD, path, 0);
}
int unlinkat(int folder, const char* path, int flags) noexcept {
  return unlink_name(folder, path, flags);
}
int rmdir(const char* path) noexcept {
  return unlink_name(AT_FDCWD, path, AT_REMOVEDIR);
}
int remove(const char* path) noexcept {
  struct stat info {};
  return unlink_name(AT_FDCWD, path, lstat(path, &info) == 0 && S_ISDIR(info.st_mode) ? AT_REMOVEDIR : 0);
}
int mkdir(const char* path, mode_t mode) noexcept {
  return on_name(Operation::MakeFolder, Path(AT_FDCWD, path),
                 [&](size_t) { return syscall(SYS_mkdirat, AT_FDCWD, path, mode); });
}
int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return control_file(fd, command, argument);
}
int fcntl64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return control_file(fd, command, argument);
}
int fstatfs(int fd, struct statfs* info) noexcept {
  read_settings();
  const long result = syscall(SYS_fstatfs, fd, info);
  if (result == 0 && settings.network && Path(fd).ours()) info->f_type = NFS_SUPER_MAGIC;
  return static_cast<int>(result);
}
int flock(int fd, int operation) noexcept {
  read_settings();
  if (settings.flock_error != 0 && Path(fd).ours()) {
    errno = settings.flock_error;
    return -1;
  }
  return static_cast<int>(syscall(SYS_flock, fd, operation));
}

}  // extern "C"
#pragma GCC visibility pop
