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

/// Lists of inputs that no use names any more: none where a use could not be read.
std::vector<fs::path> unused_lists(const TableSummary& table) {
  if (!table.damaged_uses.empty()) return {};
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
    for (const TableSummary& table : tables_)
      look_at(table, [&] {
        bytes_ += table.bytes;
        const Verdict verdict = judge(table);
        if (!verdict.remove.empty())
          return remove_table(table, [&](const TableSummary& now) { return judge(now); });
        if (!verdict.keep.empty()) result_.kept.push_back({table.folder, verdict.keep});
        keep(table);
      });
    if (options_.max_bytes)
      for (const TableSummary* table : kept_)
        if (bytes_ > *options_.max_bytes)
          look_at(*table, [&] {
            remove_table(*table, [](const TableSummary&) { return Verdict{"least recently used", {}}; });
          });
    for (const std::string& name : JobFolder::names_in(store_)) collect_job(JobFolder(store_, name));
    for (const fs::path& path : JobFolder::dropped_in(store_))
      remove(path, "left half-done by an ended process");
    for (const fs::path& path : files_in(store_, ".tmp"))
      if (path.filename().string().starts_with("digests.memo.") && is_stale(path))
        remove(path, "left half-done by an ended process");
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

  /// A table that this user may not look at is left, and does not stop what is done with the others.
  void look_at(const TableSummary& table, const std::function<void()>& action) {
    try {
      if (!table.unreadable.empty()) throw Unreadable(table.unreadable);
      action();
    } catch (const Unreadable& e) {
      result_.kept.push_back({table.folder, e.what()});
    }
  }

  struct Verdict {
    std::string remove;  ///< Why it goes; empty: it stays.
    std::string keep;    ///< Why it stays although the options might mean it; empty: they do not.
  };
  Verdict judge(const TableSummary& table) const {
    const std::int64_t idle = std::time(nullptr) - table.last_used;
    const bool old = options_.older_than && idle > *options_.older_than;
    if (!old && !options_.unreferenced) return {};
    // A use that is not known may be the newest, or of a run that is there.
    if (!table.damaged_uses.empty()) {
      const DamagedUse& use = table.damaged_uses.front();
      return {{},
              use.unreadable
                  ? use.why
                  : fmt::format("{} is damaged; graft store verify --repair removes it", use.file.string())};
    }
    if (old) return {fmt::format("not used for {} days", idle / 86400), {}};
    const TableUse* unknown = nullptr;
    for (const TableUse& use : table.uses) {
      const Reference reference = reference_by(use, table.fingerprint);
      if (reference == Reference::Named) return {};
      if (reference == Reference::Unknown) unknown = &use;
    }
    if (unknown != nullptr)
      return {
          {},
          fmt::format("whether the run in {} is there cannot be seen from here", unknown->folder.string())};
    if (std::string job = unmerged_job_with(table); !job.empty()) return {{}, std::move(job)};
    return {"no run's folder names it any more", {}};
  }

  /// Says which job that is not merged yet fills the table; empty: none does.
  std::string unmerged_job_with(const TableSummary& table) const {
    for (const fs::path& path : files_in(store_ / "jobs", "")) {
      const JobFolder job(store_, path.filename().string());
      if (!job.merged().empty()) continue;
      try {
        for (const auto& [stage, fingerprint] : job.tables())
          if (fingerprint == table.fingerprint)
            return fmt::format("the job '{}', which is not merged, fills it", path.filename().string());
      } catch (const Error& e) {
        std::error_code unknown;
        const bool there = fs::exists(path / "job.json", unknown);
        if (there || unknown) return e.what();  // it may fill any of them
      }
    }
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

  /// `judge` is asked again once nobody can use the table: a run may have ended since it was first read, in
  /// the same second as the use before.
  void remove_table(const TableSummary& table, const std::function<Verdict(const TableSummary&)>& judge) {
    hold(table, [&](const TableSummary& now) {
      const Verdict verdict = judge(now);
      if (!verdict.keep.empty()) return result_.kept.push_back({now.folder, verdict.keep});
      if (verdict.remove.empty()) return result_.in_use.push_back(now.folder);
      if (!options_.dry_run && !take_away(now.folder)) return result_.in_use.push_back(now.folder);
      result_.removed.push_back({now.folder, now.bytes, verdict.remove});
      bytes_ -= std::min(bytes_, now.bytes);
    });
  }
  /// False, and it is where it was, where somebody uses it: without locks, a lease may have come since the
  /// last look at them.
  bool take_away(const fs::path& table) const {
    const fs::path away = trash_ / new_attempt();
    fs::rename(table, away);
    std::error_code replaced;  // by that of a run that came later still
    if (FolderLock::has_leases(away)) {
      fs::rename(away, table, replaced);
      if (!replaced) return false;
    }
    // A power cut must not leave a part of it at its place.
    sync_folder(trash_);
    sync_folder(table.parent_path());
    fs::remove_all(away);
    return true;
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
  std::string reason(const JobFolder& job) const {
    const std::string run = job.merged();
    if (run.empty()) return {};
    std::error_code unknown;
    const auto idle = std::chrono::duration_cast<std::chrono::seconds>(
        fs::file_time_type::clock::now() - fs::last_write_time(job.path() / "merged.json", unknown));
    if (!unknown && options_.older_than && idle.count() > *options_.older_than)
      return fmt::format("a job that was merged {} days ago", idle.count() / 86400);
    if (options_.unreferenced && !fs::exists(run, unknown) && !unknown) return "a job whose run is gone";
    return {};
  }
  void collect_job(const JobFolder& job) {
    const std::string why = reason(job);
    if (why.empty()) return;
    const std::uint64_t bytes = bytes_of(job.path());
    try {
      if (options_.dry_run || job.remove_merged([&] { return !reason(job).empty(); }))
        result_.removed.push_back({job.path(), bytes, why});
      else
        result_.in_use.push_back(job.path());
    } catch (const Unreadable& e) {
      result_.kept.push_back({job.path(), e.what()});
    }
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
