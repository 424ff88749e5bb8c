#include "store/store_gc.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <functional>
#include <thread>
#include <unordered_set>

#include <fmt/format.h>

#include <graft/error.h>

#include "base/attempt.h"
#include "base/files.h"
#include "store/folder_lock.h"
#include "store/job_folder.h"
#include "store/manifest.h"
#include "store/table_check.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

std::uint64_t bytes_of(const fs::path& path) {
  std::uint64_t bytes = 0;
  std::error_code error;
  if (fs::is_regular_file(path, error)) return fs::file_size(path, error);
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    if (it->is_regular_file(gone)) bytes += it->file_size(gone);
  }
  return bytes;
}

/// Lists of inputs that no use names any more.
std::vector<fs::path> unused_lists(const TableSummary& table) {
  std::unordered_set<std::string> named;
  for (const TableUse& use : table.uses) named.insert(use.list);
  std::vector<fs::path> out;
  for (const fs::path& path : files_in(table.folder / "inputs", ".inputs"))
    if (!named.contains(path.filename().string())) out.push_back(path);
  return out;
}

constexpr std::chrono::milliseconds kPoll{100};
constexpr int kPolls = 600;

class Collection {
 public:
  Collection(const fs::path& store, const GcOptions& options)
      : store_(store), trash_(store / "trash"), options_(options) {
    if (!options_.dry_run && fs::exists(store)) lock_ = lock_trash();
    if (fs::exists(trash_))
      for (const fs::directory_entry& entry : fs::directory_iterator(trash_))
        if (entry.is_directory()) remove(entry.path(), "left by an earlier gc");
    for (const fs::path& folder : tables_in(store)) tables_.push_back(summarise_table(folder));
    std::sort(tables_.begin(), tables_.end(),
              [](const auto& a, const auto& b) { return a.last_used < b.last_used; });
  }

  GcResult go() {
    for (const TableSummary& table : tables_) {
      bytes_ += table.bytes;
      if (reason(table).empty())
        keep(table);
      else
        remove_table(table, [&](const TableSummary& now) { return reason(now); });
    }
    if (options_.max_bytes)
      for (const TableSummary* table : kept_)
        if (bytes_ > *options_.max_bytes)
          remove_table(*table, [](const TableSummary&) { return "least recently used"; });
    for (const std::string& name : JobFolder::names_in(store_)) collect_job(JobFolder(store_, name));
    return std::move(result_);
  }

 private:
  FolderLock lock_trash() const {
    make_folders(trash_);
    for (int i = 0; i < kPolls; ++i, std::this_thread::sleep_for(kPoll))
      if (auto lock = FolderLock::exclude(trash_)) return std::move(*lock);
    throw Error(
        fmt::format("{}: another graft store gc has been at work for a minute; try again when it has ended",
                    trash_.parent_path().string()));
  }

  std::string reason(const TableSummary& table) const {
    const std::int64_t idle = std::time(nullptr) - table.last_used;
    if (options_.older_than && idle > *options_.older_than)
      return fmt::format("not used for {} days", idle / 86400);
    if (options_.unreferenced && std::none_of(table.uses.begin(), table.uses.end(), [&](const TableUse& use) {
          return is_referenced(use, table.fingerprint);
        }))
      return "no run's folder names it any more";
    return {};
  }

  /// Calls `action` while nobody else holds the table, which nobody has used since `seen`. A table of which
  /// that is not so is noted.
  void hold(const TableSummary& seen, const std::function<void(const TableSummary&)>& action) {
    const auto in_use = [&] {
      if (fs::exists(seen.folder)) result_.in_use.push_back(seen.folder);
    };
    if (options_.dry_run) return seen.in_use ? in_use() : action(seen);
    const auto lock = FolderLock::exclude(seen.folder);
    if (!lock) return in_use();
    const TableSummary now = summarise_table(seen.folder);
    // A writer that holds no lock of the table has one of its log.
    if (now.has_writer || now.last_used != seen.last_used) return in_use();
    action(now);
  }

  /// `reason` is asked again once nobody can use the table: a run may have ended since it was first read, in
  /// the same second as the use before.
  void remove_table(const TableSummary& table,
                    const std::function<std::string(const TableSummary&)>& reason) {
    hold(table, [&](const TableSummary& now) {
      const std::string why = reason(now);
      if (why.empty()) return result_.in_use.push_back(now.folder);
      result_.removed.push_back({now.folder, now.bytes, why});
      bytes_ -= std::min(bytes_, now.bytes);
      if (options_.dry_run) return;
      const fs::path away = trash_ / new_attempt();
      fs::rename(now.folder, away);
      fs::remove_all(away);
    });
  }

  /// Removes half-written files, and lists of inputs that no use names any more.
  void keep(const TableSummary& table) {
    kept_.push_back(&table);
    if (leftovers(table.folder).empty() && unused_lists(table).empty()) return;
    hold(table, [&](const TableSummary& now) {
      for (const fs::path& path : leftovers(now.folder)) remove(path, "left half-done by an ended process");
      for (const fs::path& path : unused_lists(now)) remove(path, "no run has this list of inputs any more");
    });
  }

  /// The folder of a job says who computes what: once the job is merged, nobody needs it.
  void collect_job(const JobFolder& job) {
    const std::string run = job.merged();
    if (run.empty()) return;
    std::error_code gone;
    const auto idle = std::chrono::duration_cast<std::chrono::seconds>(
        fs::file_time_type::clock::now() - fs::last_write_time(job.path() / "merged.json", gone));
    std::string why;
    if (!gone && options_.older_than && idle.count() > *options_.older_than)
      why = fmt::format("a job that was merged {} days ago", idle.count() / 86400);
    else if (options_.unreferenced && !fs::exists(run, gone))
      why = "a job whose run is gone";
    if (why.empty()) return;
    const std::uint64_t bytes = bytes_of(job.path());
    if (options_.dry_run || job.remove_merged())
      result_.removed.push_back({job.path(), bytes, why});
    else
      result_.in_use.push_back(job.path());
  }

  void remove(const fs::path& path, const std::string& why) {
    result_.removed.push_back({path, bytes_of(path), why});
    if (!options_.dry_run) fs::remove_all(path);
  }

  const fs::path store_, trash_;
  const GcOptions& options_;
  FolderLock lock_;
  std::vector<TableSummary> tables_;  // the least recently used first
  std::vector<const TableSummary*> kept_;
  std::uint64_t bytes_ = 0;  // of all tables that are there
  GcResult result_;
};

}  // namespace

GcResult collect_garbage(const fs::path& store, const GcOptions& options) {
  try {
    return Collection(store, options).go();
  } catch (const fs::filesystem_error& e) {
    throw Error(fmt::format("cannot remove {}: {}", e.path1().string(), e.code().message()));
  }
}

}  // namespace graft
