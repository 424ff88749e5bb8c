#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <graft/export.h>

namespace graft {

/// What `graft store gc` may remove. What somebody uses (FolderLock) always stays.
struct GcOptions {
  std::optional<std::int64_t> older_than;  ///< Seconds: tables not used for so long.
  std::optional<std::uint64_t>
      max_bytes;  ///< Least recently used tables, until the store is at most so large.
  /// Tables whose every run's folder is gone or holds another run by now, and which no job fills.
  bool unreferenced = false;
  bool dry_run = false;
};

struct GcRemoval {
  std::filesystem::path path;
  std::uint64_t bytes = 0;
  std::string why;
};

struct GcKept {
  std::filesystem::path path;
  std::string why;
};

struct GcResult {
  std::vector<GcRemoval> removed;  ///< Or what would be, with `dry_run`.
  std::vector<std::filesystem::path>
      in_use;  ///< Tables and jobs that were left as they are, because somebody uses them.
  /// Tables that the options might mean: a job fills them, or what would tell could not be read.
  std::vector<GcKept> kept;
};

/// Removes, beside what the options say, what ended processes have left half-done. Options for tables hold
/// for the folders of jobs, too: of those that are merged, and of which no worker is running. A table is
/// first moved out of the way in one step: a kill leaves it whole or for the next gc. One gc at a time works
/// on a store; another waits for it, a minute at most. Throws Error.
GRAFT_API GcResult collect_garbage(const std::filesystem::path& store, const GcOptions& options);

}  // namespace graft
