#include "store/folder_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include <graft/error.h>

#include "base/attempt.h"
#include "base/stopped_within.h"
#include "plugin/plugin_call.h"
#include "store/manifest.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::minutes kHeartbeat{1};
constexpr const char* kLeaseExtension = ".lease";

fs::path lock_of(const fs::path& folder) {
  return folder / "lock";
}
fs::path leases_of(const fs::path& folder) {
  return folder / "leases";
}

enum class Locked { Yes, Busy, Unsupported };

Locked set_lock(int fd, short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  while (::fcntl(fd, F_OFD_SETLK, &lock) != 0) {
    if (errno == EINTR) continue;
    // EBADF: a lock that keeps others out takes a file that is open for writing, which this user may not do.
    return errno == EAGAIN || errno == EACCES || errno == EBADF ? Locked::Busy : Locked::Unsupported;
  }
  return Locked::Yes;
}

std::atomic<void (*)(const std::string&)> wait_notice{nullptr};

/// Waits until nobody has the folder alone. That is no stall.
Locked share_lock(int fd, const fs::path& folder) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kLongestPause{100};
  constexpr std::chrono::seconds kUntilNotice{1};
  const Clock::time_point start = Clock::now();
  bool told = false;
  for (std::chrono::milliseconds pause{1};; pause = std::min(2 * pause, kLongestPause)) {
    const Locked state = set_lock(fd, F_RDLCK);
    if (state != Locked::Busy) return state;
    note_progress();
    if (const auto notice = wait_notice.load();
        !told && notice != nullptr && Clock::now() - start > kUntilNotice) {
      notice(fmt::format("waiting for {}, which a graft store compact, gc or verify --repair is changing",
                         folder.string()));
      told = true;
    }
    std::this_thread::sleep_for(pause);
  }
}

FileHandle open_lock(const fs::path& file) {
  FileHandle out(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!out) out = FileHandle(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  return out;
}

/// Whether the file still has that name: a folder that was taken away has taken its lock along.
bool is_at(const FileHandle& file, const fs::path& path) {
  struct stat held {
  }, named{};
  return ::fstat(file.get(), &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

bool has_living_lease(const fs::path& folder, const fs::path& own = {}) try {
  for (const fs::path& lease : files_in(leases_of(folder), kLeaseExtension))
    if (lease != own && !is_stale(lease)) return true;
  return false;
} catch (const Error&) {
  return true;  // that cannot be known
}

}  // namespace

/// A file that is touched as long as this lives.
class FolderLock::Lease {
 public:
  Lease(const fs::path& folder, const std::string& attempt)
      : path_(leases_of(folder) / (attempt + kLeaseExtension)) {
    make_folders(path_.parent_path());
    file_ = FileHandle(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
    if (!file_) throw Error(file_error("create", path_, errno));
    thread_ = std::jthread([this](const std::stop_token& stop) {
      while (!stopped_within(kHeartbeat, stop)) ::futimens(file_.get(), nullptr);
    });
  }
  ~Lease() {
    thread_ = {};
    ::unlink(path_.c_str());
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  const fs::path& path() const { return path_; }

 private:
  const fs::path path_;
  FileHandle file_;
  std::jthread thread_;
};

FolderLock::FolderLock() = default;
FolderLock::FolderLock(FolderLock&&) noexcept = default;
FolderLock& FolderLock::operator=(FolderLock&&) noexcept = default;
FolderLock::~FolderLock() = default;

FolderLock FolderLock::share(const fs::path& folder, const std::string& attempt) {
  for (;;) {
    FolderLock lock;
    lock.folder_ = folder;
    lock.file_ = open_lock(lock_of(folder));
    if (!lock.file_) return lock;
    lock.local_ = is_local(lock.file_.get());
    lock.locked_ = share_lock(lock.file_.get(), folder) == Locked::Yes;
    if (!lock.locked_ || !lock.local_) try {
        lock.lease_ = std::make_unique<Lease>(folder, attempt);
      } catch (const Error&) {  // a store that this user may not write to
      }
    if (is_at(lock.file_, lock_of(folder))) return lock;
  }
}

std::optional<FolderLock> FolderLock::exclude(const fs::path& folder) {
  FolderLock lock;
  lock.folder_ = folder;
  lock.file_ = open_lock(lock_of(folder));
  if (!lock.file_) return {};
  const Locked state = set_lock(lock.file_.get(), F_WRLCK);
  if (state == Locked::Busy || !is_at(lock.file_, lock_of(folder))) return {};
  lock.locked_ = state == Locked::Yes;
  lock.local_ = is_local(lock.file_.get());
  if (lock.others_have_leases()) return {};
  return lock;
}

bool FolderLock::is_held(const fs::path& folder) {
  const FileHandle file(::open(lock_of(folder).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno != ENOENT;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  const bool told = ::fcntl(file.get(), F_OFD_GETLK, &lock) == 0;
  if (told && lock.l_type != F_UNLCK) return true;
  return (!told || !is_local(file.get())) && has_living_lease(folder);
}

bool FolderLock::has_leases(const fs::path& folder) {
  return has_living_lease(folder);
}

void FolderLock::on_wait(void (*notice)(const std::string& text)) {
  wait_notice = notice;
}

bool FolderLock::has_lease(const fs::path& folder, const std::string& attempt) {
  const fs::path lease = leases_of(folder) / (attempt + kLeaseExtension);
  std::error_code error;
  return fs::exists(lease, error) && !is_stale(lease);
}

bool FolderLock::others_have_leases() const {
  if (locked_ && local_) return false;
  return has_living_lease(folder_, lease_ ? lease_->path() : fs::path());
}

void FolderLock::while_alone(const std::function<void()>& action) {
  // A change of such a lock is one step: where it fails, the shared lock stays.
  if (!file_ || (locked_ && set_lock(file_.get(), F_WRLCK) != Locked::Yes)) return;
  const auto share_again = [this](void*) {
    if (locked_) set_lock(file_.get(), F_RDLCK);
  };
  const std::unique_ptr<void, decltype(share_again)> guard(this, share_again);
  if (!others_have_leases()) action();
}

}  // namespace graft
