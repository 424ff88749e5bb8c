#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace graft {

/// The trace of a run in its folder.
inline constexpr const char* kTraceOfRun = "trace.json";

/// Where a run writes. `place` (`runs/<name>`) holds the latest complete run and nothing else: a run writes
/// into a hidden folder beside it, `.<name>.run-<attempt>`, which becomes `place` by one rename when it is
/// complete. The run before becomes `<place>.1`, that before it `<place>.2`, and so on.
///
/// A process holds flock on its hidden folder for as long as it lives. What dead processes have left is
/// cleaned up by the next run of the place: it continues their training checkpoints (`work/`), and the folder
/// of the latest, with its log, becomes `<place>.failed`. All renames
/// and removals beside a place happen under the lock `.<name>.lock`, so that any number of runs may share
/// one place. A kill at any moment leaves the former complete run at `place`, or the new one.
///
/// Only what graft has written is ever removed: a folder with other files is kept.
class GRAFT_API RunFolder {
 public:
  struct Options {
    std::size_t keep = 1;               ///< Earlier complete runs that stay.
    bool chosen = false;                ///< The user has named the place: what is there may be his.
    std::filesystem::path store;        ///< May not lie in the place.
    std::vector<std::string> learners;  ///< Stages whose checkpoints are of use.
  };

  /// Makes the hidden folder, with a status.json in it. Throws Error where a folder cannot be made, and where
  /// `place` is no folder, holds files that graft did not write, or cannot be replaced (the working
  /// directory; a folder that holds the store).
  RunFolder(const std::filesystem::path& place, Options options);
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// Where to write now.
  const std::filesystem::path& path() const { return path_; }
  /// Where the run is when it is complete, as it was given.
  const std::filesystem::path& place() const { return shown_; }
  bool is_complete() const { return path_ == place_; }
  /// Where the run is once it is set aside: `<place>.<suffix>`, in place of what graft has put there before;
  /// where that holds files that graft did not write, `<place>.<suffix>.1`, and so on.
  std::filesystem::path place_aside(const std::string& suffix) const;
  std::filesystem::path failed_place() const { return place_aside("failed"); }
  const std::string& attempt() const { return attempt_; }

  /// Makes this the complete run at `place`. The manifest must be there and name attempt() as `attempt`, and
  /// name() as `folder`. Throws Error, also where something came to the place meanwhile that a run may not
  /// replace; then nothing has changed. `completed`: called while no other run of the place can be completed.
  void complete(const std::function<void()>& completed = {});

  /// Renames the folder to place_aside() ("failed", "interrupted") and returns that path; where that is not
  /// possible, where it is now. status.json must name name() as `folder`.
  std::filesystem::path set_aside(const std::string& suffix) noexcept;
  /// The same from another thread, for a run that hangs: writes status.json first. Should the run wake up,
  /// complete() fails.
  std::filesystem::path abandon(const std::string& suffix, std::string_view status) noexcept;

  /// Last component of `place`.
  std::string name() const { return place_.filename().string(); }

  /// Removes a complete or failed run, with whose place nothing else may be going on, unless it holds files
  /// that graft did not write. Throws Error.
  static void discard(const std::filesystem::path& place);

 private:
  class PlaceLock;
  std::filesystem::path with_suffix(const std::string& suffix) const;
  void check_place() const;
  bool is_earlier_run(const std::filesystem::path& folder) const;
  void recover();
  void keep_as_failed(const std::filesystem::path& folder) noexcept;
  std::filesystem::path move_aside(const std::filesystem::path& folder, const std::string& suffix) const;
  std::vector<std::filesystem::path> work_in(const std::filesystem::path& folder) const;
  void take_work(const std::filesystem::path& from);
  void share_work(const std::filesystem::path& from);
  void keep_as_earlier(const std::filesystem::path& folder) noexcept;
  void remove(const std::filesystem::path& folder) const;

  std::filesystem::path shown_;  ///< As given.
  std::filesystem::path place_;  ///< After a symbolic link.
  Options options_;
  std::string attempt_;
  std::filesystem::path path_;
  FileHandle lock_;   ///< Of path_.
  std::mutex mutex_;  ///< Of path_ against abandon(), and of aside_.
  bool aside_ = false;
};

}  // namespace graft
