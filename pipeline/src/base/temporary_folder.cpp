#include "base/temporary_folder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <future>
#include <mutex>
#include <set>
#include <string_view>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/printable.h>
#include <graft/system_error.h>
#include <graft/text.h>

namespace graft {
namespace fs = std::filesystem;
namespace {

/// A folder is made and locked in two steps: one that is younger may be between them.
constexpr std::time_t kSecondsToLock = 60;
constexpr std::string_view kPattern = "-XXXXXX";

struct LivingFolders {
  std::mutex mutex;
  std::set<fs::path> paths;
};

LivingFolders& living_folders() {
  static auto* const kAll = new LivingFolders;  // not destroyed at exit, when threads may still make some
  return *kAll;
}

/// Whether the process that made the folder is gone: it is this user's, not just made, and nobody holds it.
bool is_left_behind(const fs::path& folder, const FileHandle& handle) {
  struct stat held {
  }, named{};
  return handle && ::fstat(handle.get(), &held) == 0 && held.st_uid == ::geteuid() &&
         held.st_mtime + kSecondsToLock < std::time(nullptr) &&
         ::flock(handle.get(), LOCK_EX | LOCK_NB) == 0 && ::lstat(folder.c_str(), &named) == 0 &&
         named.st_ino == held.st_ino && named.st_dev == held.st_dev;
}

void remove_left_behind(const fs::path& place, const std::string& name) noexcept try {
  std::error_code error;
  for (fs::directory_iterator it(place, error), end; !error && it != end; it.increment(error)) {
    const std::string found = it->path().filename().string();
    if (found.size() != name.size() + kPattern.size() || !found.starts_with(name + "-")) continue;
    const FileHandle handle(
        ::open(it->path().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    std::error_code ignored;
    if (is_left_behind(it->path(), handle)) fs::remove_all(it->path(), ignored);
  }
} catch (const std::exception&) {  // they cost space alone
}

}  // namespace

TemporaryFolder::TemporaryFolder(const std::string& name) {
  std::error_code error;
  const char* const tmpdir = std::getenv("TMPDIR");
  const fs::path place = fs::temp_directory_path(error);
  if (error)
    throw Error(
        fmt::format("there is no folder for temporary files{}: set TMPDIR to one that can be written to",
                    tmpdir == nullptr ? "" : fmt::format(" (TMPDIR is '{}')", printable(tmpdir))));
  remove_left_behind(place, name);
  std::string pattern = (place / (name + std::string(kPattern))).string();
  if (::mkdtemp(pattern.data()) == nullptr)
    throw Error(file_error("make the folder", pattern, errno) +
                "; set TMPDIR to a folder that can be written to");
  path_ = pattern;
  lock_ = FileHandle(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock_) ::flock(lock_.get(), LOCK_SH | LOCK_NB);
  LivingFolders& all = living_folders();
  const std::lock_guard lock(all.mutex);
  all.paths.insert(path_);
}

TemporaryFolder::~TemporaryFolder() {
  LivingFolders& all = living_folders();
  {
    const std::lock_guard lock(all.mutex);
    all.paths.erase(path_);
  }
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void rethrow_with_cure_for_full_folder(const TemporaryFolder& folder, const Error& error,
                                       const std::string& else_do) {
  const std::string text = error.what();
  const auto has = [&](const std::string& part) { return text.find(part) != std::string::npos; };
  if (has(folder.path().string()) && (has(system_error_text(ENOSPC)) || has(system_error_text(EDQUOT))))
    throw FatalError(text + "; set TMPDIR to a folder with more room" +
                     (else_do.empty() ? "" : ", or " + else_do));
  throw;
}

void remove_temporary_folders() noexcept try {
  constexpr std::chrono::seconds kLimit{1};  // the process has to end, also where a disk does not answer
  std::packaged_task<void()> task([] {
    LivingFolders& all = living_folders();
    const std::lock_guard lock(all.mutex);
    std::error_code ignored;
    for (const fs::path& path : all.paths) fs::remove_all(path, ignored);
  });
  const std::future<void> done = task.get_future();
  std::thread(std::move(task)).detach();
  done.wait_for(kLimit);
} catch (const std::exception&) {  // the next process removes them
}

}  // namespace graft
