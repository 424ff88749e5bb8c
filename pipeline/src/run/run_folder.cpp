#include "run/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>
#include <graft/value.h>

#include "base/attempt.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kTrash = ".trash";
/// The complete run, for the moment in which it is replaced where two names cannot be exchanged.
constexpr std::string_view kReplaced = ".replaced";
constexpr std::chrono::hours kForeignAge{24};

/// Everything that a run writes at the top of its folder.
constexpr std::array<std::string_view, 13> kWritten = {
    "config.yaml", "inputs.csv",   "log.txt", "manifest.json", "models",          "neighbours", "predictions",
    "report.html", "results.json", "reports", "status.json",   "sweep_done.json", kTraceOfRun};
constexpr std::size_t kMaxForeignNamed = 3;
constexpr const char* kWork = "work";
constexpr const char* kAnotherPlace = "choose another folder with --out";
constexpr const char* kStatus = "status.json";
constexpr const char* kLog = "log.txt";

bool is_written_by_graft(const fs::path& entry) {
  const std::string name = entry.filename().string();
  return name == kWork || name.ends_with(".tmp") ||
         std::find(kWritten.begin(), kWritten.end(), name) != kWritten.end();
}

/// None where the folder cannot be listed; then `error` says why.
std::vector<fs::path> entries_of(const fs::path& folder, std::error_code& error) {
  std::vector<fs::path> out;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    out.push_back(it->path());
  if (error) out.clear();
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code ignored;
  return entries_of(folder, ignored);
}

/// Names of what graft did not write; of a folder that cannot be listed, as far as anybody knows, everything.
std::vector<std::string> foreign_in(const fs::path& folder) {
  std::error_code error;
  std::vector<std::string> out;
  for (const fs::path& entry : entries_of(folder, error))
    if (!is_written_by_graft(entry)) out.push_back(entry.filename().string());
  if (error && error != std::errc::no_such_file_or_directory) out.push_back(error.message());
  return out;
}

bool is_empty_folder(const fs::path& folder) {
  std::error_code error;
  return fs::is_directory(fs::symlink_status(folder, error)) && entries_of(folder, error).empty() && !error;
}

/// A text in a JSON file of a run; nothing where there is none.
std::optional<std::string> text_in(const fs::path& file, const char* key) {
  try {
    const Value facts = Value::from_json(read_file(file));
    const Value* found = facts.find(key);
    if (found == nullptr || !found->is_string()) return {};
    return found->as_string();
  } catch (const std::exception&) {
    return {};
  }
}

void rename_folder(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return;
  const int error = errno;
  fail_to_write(fmt::format("cannot rename {} to {}: {}", from.string(), to.string(),
                            std::generic_category().message(error)),
                error);
}

enum class LockState { Mine, Busy, None };
LockState try_lock(const FileHandle& file) {
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    return errno == EWOULDBLOCK ? LockState::Busy : LockState::None;
  }
  return LockState::Mine;
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

/// Whether nothing in a folder has changed for a day: the log and the checkpoints of a run that works do.
bool is_long_unchanged(const fs::path& folder) {
  const auto is_recent = [](const fs::path& path) {
    std::error_code error;
    const auto changed = fs::last_write_time(path, error);
    return error || fs::file_time_type::clock::now() - changed <= kForeignAge;
  };
  if (is_recent(folder)) return false;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (is_recent(it->path())) return false;
  return !error;
}

/// Makes hard links of all files; a folder that has no links is copied. What fails is left out: checkpoints
/// that are missing cost time alone.
void link_tree(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to, error);
  for (const fs::path& entry : entries_of(from)) {
    const fs::path target = to / entry.filename();
    if (fs::is_directory(fs::symlink_status(entry, error))) {
      link_tree(entry, target);
    } else {
      fs::create_hard_link(entry, target, error);
      if (error) fs::copy_file(entry, target, error);
      if (error) fs::remove(target, error);
    }
  }
}

}  // namespace

/// Holds a place's lock; the file goes with the last holder. Where there are no locks, nothing is held.
class RunFolder::PlaceLock {
 public:
  explicit PlaceLock(const fs::path& place)
      : path_(place.parent_path() / fmt::format(".{}.lock", place.filename().string())) {
    for (;;) {
      file_ = FileHandle(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
      if (!file_ && !is_out_of_disk(errno))
        throw Error(fmt::format("{}; {}", file_error("create", path_, errno), kAnotherPlace));
      if (!file_) fail_to_write(file_error("create", path_, errno), errno);
      while (::flock(file_.get(), LOCK_EX) != 0)
        if (errno != EINTR) return;
      // The holder before has removed it: another file may have the name by now.
      struct stat held {
      }, named{};
      if (::fstat(file_.get(), &held) == 0 && ::stat(path_.c_str(), &named) == 0 &&
          held.st_ino == named.st_ino && held.st_dev == named.st_dev)
        return;
    }
  }
  ~PlaceLock() { ::unlink(path_.c_str()); }
  PlaceLock(const PlaceLock&) = delete;
  PlaceLock& operator=(const PlaceLock&) = delete;

 private:
  fs::path path_;
  FileHandle file_;
};

RunFolder::RunFolder(const fs::path& place, Options options)
    : shown_(place.lexically_normal()), options_(std::move(options)), attempt_(new_attempt()) {
  if (!shown_.has_filename()) shown_ = shown_.parent_path();  // "out/"
  if (const std::string last = shown_.filename().string(); last.empty() || last == "." || last == "..")
    throw Error(
        fmt::format("the results cannot go to '{}': give a folder of their own with --out", place.string()));
  std::error_code error;
  place_ = fs::is_symlink(fs::symlink_status(shown_, error)) ? fs::canonical(shown_, error) : shown_;
  if (error || place_.empty()) place_ = shown_;
  check_place();
  const fs::path parent = place_.parent_path();
  if (!parent.empty()) make_folders(parent, kAnotherPlace);
  const PlaceLock lock(place_);
  path_ = parent / fmt::format(".{}.run-{}", name(), attempt_);
  if (::mkdir(path_.c_str(), 0777) != 0) fail_to_write(file_error("make the folder", path_, errno), errno);
  lock_ = FileHandle(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock_) try_lock(lock_);
  // Whatever becomes of the run, and however full the disk is then: this names the folder as one of graft's.
  Value status = Value::Map{{"status", "running"}, {"folder", name()}, {"attempt", attempt_}};
  write_file_atomically(path_ / kStatus, status.to_json_pretty());
  recover();
}

void RunFolder::check_place() const {
  std::error_code error;
  if (lies_in(fs::current_path(error), place_))
    throw Error(
        fmt::format("a complete run replaces {}, which is the working directory: choose another "
                    "folder with --out",
                    shown_.string()));
  if (lies_in(options_.store, place_))
    throw Error(
        fmt::format("a complete run replaces {}, in which the store {} lies: choose another folder "
                    "with --out, or another store with --store",
                    shown_.string(), options_.store.string()));
  const fs::file_status status = fs::symlink_status(place_, error);
  if (!fs::exists(status)) return;
  if (fs::is_symlink(status))  // one that leads to a folder was followed when the run began
    throw Error(
        fmt::format("{} is a link {}: choose another folder with --out, or remove the link", shown_.string(),
                    fs::exists(place_, error) ? "since the run began" : "to a folder that is not there"));
  if (!fs::is_directory(status))
    throw Error(fmt::format("{} is not a folder: choose another one with --out", shown_.string()));
  entries_of(place_, error);
  if (error)
    throw Error(fmt::format("cannot look into {}: {}; choose another folder with --out", shown_.string(),
                            error.message()));
  struct statx info {};
  if (::statx(AT_FDCWD, place_.c_str(), 0, 0, &info) == 0 &&
      (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0)
    throw Error(fmt::format(
        "{} is a mounted folder, which a complete run cannot replace: choose one inside it, --out {}",
        shown_.string(), (shown_ / "run").string()));
  if (is_there(place_ / "manifest.json") && text_in(place_ / "manifest.json", "graft")) return;
  std::vector<std::string> foreign = foreign_in(place_);
  if (options_.chosen)
    for (const fs::path& entry : entries_of(place_)) {
      const std::string entry_name = entry.filename().string();
      if (is_written_by_graft(entry)) foreign.push_back(entry_name);
    }
  if (foreign.empty()) return;
  throw Error(
      fmt::format("{} contains files that graft did not write ({}): choose a new "
                  "or an empty folder with --out, or move them away",
                  shown_.string(), joined(foreign, kMaxForeignNamed)));
}

fs::path RunFolder::with_suffix(const std::string& suffix) const {
  fs::path out = shown_ == place_ ? shown_ : place_;
  out += suffix;
  return out;
}

/// Whether a folder beside the place is a former complete run of it, with nothing in it that graft did not
/// write.
bool RunFolder::is_earlier_run(const fs::path& folder) const {
  const auto of = text_in(folder / "manifest.json", "folder");
  // Releases before this noted the run's name alone.
  const auto run = of ? of : text_in(folder / "manifest.json", "name");
  return run == name() && foreign_in(folder).empty();
}

/// Brings to an end what dead processes had begun, and takes over their checkpoints.
void RunFolder::recover() {
  const std::string prefix = fmt::format(".{}.run-", name());
  std::vector<fs::path> left;
  for (const fs::path& entry : entries_of(place_.parent_path().empty() ? "." : place_.parent_path()))
    if (entry.filename().string().starts_with(prefix) && entry.filename() != path_.filename())
      left.push_back(place_.parent_path() / entry.filename());
  std::error_code error;
  std::sort(left.begin(), left.end(), [&](const fs::path& a, const fs::path& b) {
    return fs::last_write_time(a, error) > fs::last_write_time(b, error);
  });
  for (const fs::path& folder : left) {
    const std::string file = folder.filename().string();
    if (file.ends_with(kTrash)) {
      fs::remove_all(folder, error);
      continue;
    }
    if (file.ends_with(kReplaced)) {
      if (is_there(place_))
        keep_as_earlier(folder);
      else
        ::rename(folder.c_str(), place_.c_str());
      continue;
    }
    const std::string attempt = file.substr(prefix.size());
    const FileHandle handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const LockState state = handle ? try_lock(handle) : LockState::None;
    if (state == LockState::Busy) continue;
    // Where there are no locks, and where they may be known to one machine only: by its age.
    if ((state == LockState::None || !locks_tell_of(attempt, handle.get())) && !is_long_unchanged(folder))
      continue;
    const auto maker = text_in(folder / "manifest.json", "attempt");
    if (is_there(folder / "manifest.json") && maker != attempt) {
      keep_as_earlier(folder);  // the complete run that this attempt had just replaced
      continue;
    }
    take_work(folder);
    keep_as_failed(folder);
  }
  if (const fs::path interrupted = with_suffix(".interrupted");
      text_in(interrupted / kStatus, "folder") == name()) {
    take_work(interrupted);
    // The checkpoints of stages that this config has not wait for one that has them.
    if (foreign_in(interrupted).empty() && !is_there(interrupted / kWork)) remove(interrupted);
  }
  if (const fs::path failed = failed_place(); text_in(failed / kStatus, "folder") == name())
    take_work(failed);
  share_work(place_);
}

/// The checkpoints in a folder that are of use, where this run has none of the stage yet.
std::vector<fs::path> RunFolder::work_in(const fs::path& folder) const {
  std::vector<fs::path> out;
  for (const fs::path& stage : entries_of(folder / kWork))
    if (const auto& ids = options_.learners;
        std::find(ids.begin(), ids.end(), stage.filename()) != ids.end() &&
        !is_there(path_ / kWork / stage.filename()))
      out.push_back(stage);
  return out;
}

void RunFolder::take_work(const fs::path& from) {
  std::error_code ignored;
  for (const fs::path& stage : work_in(from)) {
    fs::create_directories(path_ / kWork, ignored);
    ::rename(stage.c_str(), (path_ / kWork / stage.filename()).c_str());
  }
  fs::remove(from / kWork, ignored);
}

/// The same, but the files stay where they are, too. Checkpoints are replaced, never written into, so that
/// two folders may have one file.
void RunFolder::share_work(const fs::path& from) {
  for (const fs::path& stage : work_in(from)) link_tree(stage, path_ / kWork / stage.filename());
}

void RunFolder::remove(const fs::path& folder) const {
  std::error_code ignored;
  fs::path trash = path_.parent_path() / fmt::format(".{}.run-{}{}", name(), new_attempt(), kTrash);
  if (::rename(folder.c_str(), trash.c_str()) == 0) fs::remove_all(trash, ignored);
}

/// The folder of a process that died without a word becomes `<place>.failed`, for its log; unless there is no
/// log, or one of a later run is there. Where it has a manifest, too, it died just before it was complete.
void RunFolder::keep_as_failed(const fs::path& folder) noexcept try {
  std::error_code error;
  const auto ended = fs::last_write_time(folder / kLog, error);
  const auto later = fs::last_write_time(failed_place() / kLog, error);
  if (!is_there(folder / kLog) || (is_there(failed_place() / kLog) && later > ended)) {
    remove(folder);
    return;
  }
  Value status =
      Value::Map{{"status", "failed"},
                 {"folder", name()},
                 {"error", "the process ended before it could say why: a crash, a kill or a power cut"}};
  try {
    write_file_atomically(folder / kStatus, status.to_json_pretty());
  } catch (const Error&) {  // no room for it, maybe: it says "running"
  }
  move_aside(folder, "failed");
} catch (const std::exception&) {  // the next run tries again
}

/// Makes a folder `<place>.1` and moves the earlier runs up; those of more than `keep` go. What cannot be
/// renamed keeps its name: the next run tries again.
void RunFolder::keep_as_earlier(const fs::path& folder) noexcept try {
  if (is_empty_folder(folder)) {
    remove(folder);
    return;
  }
  const auto numbered = [&](std::size_t n) { return with_suffix(fmt::format(".{}", n)); };
  const bool own = is_earlier_run(folder);
  std::vector<fs::path> slots;  // numbers that are free or ours; a folder with other files keeps its number
  std::size_t n = 1;
  for (; slots.size() < std::max<std::size_t>(options_.keep, own ? 0 : 1); ++n)
    if (!is_there(numbered(n)) || is_earlier_run(numbered(n))) slots.push_back(numbered(n));
  for (; is_there(numbered(n)); ++n)
    if (is_earlier_run(numbered(n))) remove(numbered(n));
  if (slots.empty()) {
    remove(folder);
    return;
  }
  std::size_t free = 0;
  while (free < slots.size() && is_there(slots[free])) ++free;
  if (free == slots.size()) remove(slots[--free]);
  for (; free > 0; --free) rename_folder(slots[free - 1], slots[free]);
  rename_folder(folder, slots[0]);
} catch (const std::exception&) {
}

void RunFolder::complete(const std::function<void()>& completed) {
  const std::lock_guard running(mutex_);
  if (aside_) throw Error(fmt::format("{}: the run was ended before it was complete", shown_.string()));
  const PlaceLock lock(place_);
  check_place();  // again: hours may have gone by
  ::unlink((path_ / kStatus).c_str());
  fs::path former;
  if (!is_there(place_)) {
    rename_folder(path_, place_);
  } else if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, place_.c_str(), RENAME_EXCHANGE) == 0) {
    former = path_;
  } else if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) {
    former = path_.string() + std::string(kReplaced);
    rename_folder(place_, former);
    if (::rename(path_.c_str(), place_.c_str()) != 0) {
      const int reason = errno;
      rename_folder(former, place_);
      fail_to_write(file_error("rename the run's folder to", place_, reason), reason);
    }
  } else {
    fail_to_write(file_error("replace", place_, errno), errno);
  }
  path_ = place_;
  if (completed) completed();
  if (!former.empty()) keep_as_earlier(former);
  try {
    sync_folder(place_.parent_path().empty() ? "." : place_.parent_path());
  } catch (const Error&) {  // after a power cut, the former run may be at the place: complete as well
  }
}

fs::path RunFolder::place_aside(const std::string& suffix) const {
  for (std::size_t n = 0;; ++n) {
    fs::path target = with_suffix(n == 0 ? "." + suffix : fmt::format(".{}.{}", suffix, n));
    const bool own = text_in(target / kStatus, "folder") == name() && foreign_in(target).empty();
    if (!is_there(target) || own) return target;
  }
}

/// Renames a folder to place_aside(). Throws Error.
fs::path RunFolder::move_aside(const fs::path& folder, const std::string& suffix) const {
  fs::path target = place_aside(suffix);
  if (is_there(target)) remove(target);
  rename_folder(folder, target);
  return target;
}

fs::path RunFolder::set_aside(const std::string& suffix) noexcept try {
  const std::lock_guard running(mutex_);
  if (is_complete() || aside_) return path_;
  std::optional<PlaceLock> lock;
  try {
    lock.emplace(place_);
  } catch (const Error&) {  // no room for it, maybe: a rename needs none
  }
  path_ = move_aside(path_, suffix);
  aside_ = true;
  return path_;
} catch (const std::exception&) {
  return path_;
}

fs::path RunFolder::abandon(const std::string& suffix, std::string_view status) noexcept try {
  const std::lock_guard running(mutex_);
  if (is_complete() || aside_) return path_;
  aside_ = true;
  std::optional<PlaceLock> lock;
  try {
    write_file_atomically(path_ / kStatus, status);
    lock.emplace(place_);
  } catch (const Error&) {  // no room for them, maybe
  }
  return move_aside(path_, suffix);
} catch (const std::exception&) {
  return path_;
}

void RunFolder::discard(const fs::path& place) {
  std::error_code ignored;
  if (!is_there(place / "manifest.json") && !is_there(place / kStatus)) return;
  if (!foreign_in(place).empty()) return;
  const fs::path trash =
      place.parent_path() / fmt::format(".{}.run-{}{}", place.filename().string(), new_attempt(), kTrash);
  rename_folder(place, trash);
  fs::remove_all(trash, ignored);
}

}  // namespace graft
