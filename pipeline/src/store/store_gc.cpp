#include "store/store_gc.h"

#include <algorithm>
#include <ctime>
#include <unordered_set>

#include <fmt/format.h>

#include <graft/error.h>

#include "store/attempt.h"
#include "store/files.h"
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

class Collection {
 public:
  Collection(const fs::path& store, const GcOptions& options) : trash_(store / "trash"), options_(options) {
    if (fs::exists(trash_)) remove(trash_, "left by an earlier gc");
    for (const fs::path& folder : tables_in(store)) tables_.push_back(summarise_table(folder));
    std::sort(tables_.begin(), tables_.end(),
              [](const auto& a, const auto& b) { return a.last_used < b.last_used; });
  }

  std::vector<GcRemoval> go() {
    for (const TableSummary& table : tables_) {
      if (table.in_use) continue;
      if (const std::string why = reason(table); !why.empty()) {
        remove_table(table, why);
        continue;
      }
      for (const fs::path& path : leftovers(table.folder)) remove(path, "left half-done by an ended process");
      for (const fs::path& path : unused_lists(table))
        remove(path, "no run has this list of inputs any more");
      kept_.push_back(&table);
    }
    if (options_.max_bytes) shrink(*options_.max_bytes);
    if (!options_.dry_run) {
      std::error_code ignored;
      fs::remove(trash_, ignored);
    }
    return std::move(removed_);
  }

 private:
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

  /// `kept_` is in the order of last use.
  void shrink(std::uint64_t most) {
    std::uint64_t bytes = 0;
    for (const TableSummary& table : tables_)
      if (table.in_use) bytes += table.bytes;
    for (const TableSummary* table : kept_) bytes += table->bytes;
    for (const TableSummary* table : kept_) {
      if (bytes <= most) return;
      remove_table(*table, "least recently used");
      bytes -= table->bytes;
    }
  }

  void remove_table(const TableSummary& table, const std::string& why) {
    removed_.push_back({table.folder, table.bytes, why});
    if (options_.dry_run) return;
    make_folders(trash_);
    const fs::path away = trash_ / new_attempt();
    fs::rename(table.folder, away);
    fs::remove_all(away);
  }

  void remove(const fs::path& path, const std::string& why) {
    removed_.push_back({path, bytes_of(path), why});
    if (!options_.dry_run) fs::remove_all(path);
  }

  const fs::path trash_;
  const GcOptions& options_;
  std::vector<TableSummary> tables_;
  std::vector<const TableSummary*> kept_;
  std::vector<GcRemoval> removed_;
};

}  // namespace

std::vector<GcRemoval> collect_garbage(const fs::path& store, const GcOptions& options) {
  try {
    return Collection(store, options).go();
  } catch (const fs::filesystem_error& e) {
    throw Error(fmt::format("cannot remove {}: {}", e.path1().string(), e.code().message()));
  }
}

}  // namespace graft
