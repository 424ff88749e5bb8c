#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace graft::source {

/// A regular file below a folder.
struct FoundFile {
  std::string path;  ///< Relative to the folder, '/' between names; any bytes that the file system allows.
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
};

/// Told of everything that is met and left out: its kind, its path, and why or what takes it. As
/// Catalog::skipped.
using OnSkip = std::function<void(const std::string& kind, const std::string& path, const std::string& cure)>;

/// The folder without slashes at its end, but for "/" itself.
std::string without_slash(std::string folder);

/// Names of the folders directly in `folder`, sorted bytewise. A link to a folder counts only with
/// `follow_symlinks`. Names that begin with a dot are left out. Throws graft::Error when `folder` cannot be
/// listed.
std::vector<std::string> list_folders(const std::string& folder, bool follow_symlinks);

/// Whether graft has written the folder, by what it holds: results of a run or a sweep, a store, or nothing
/// but such folders and previews, as runs/ has. They are no data, also where they lie among data.
bool is_output_folder(const std::string& folder);

/// All regular files in `folder` and below, sorted bytewise by path; none is opened but to know what graft
/// has written. Throws graft::Error when a folder cannot be listed: files that silently go missing would make
/// wrong numbers. Names that begin with a dot are skipped: `skip` is told of all but what systems leave in
/// folders (.DS_Store, ._*, .git*), and graft while it runs. Folders with results, previews and stores are
/// skipped, too.
std::vector<FoundFile> list_files(const std::string& folder, bool follow_symlinks, const OnSkip& skip);

}  // namespace graft::source
