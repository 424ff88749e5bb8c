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

/// What was seen and left out.
struct Skipped {
  std::size_t symlinks = 0;
  std::size_t special = 0;   ///< FIFOs, sockets, devices.
  std::size_t loops = 0;     ///< Links back to a folder that is being listed, and links that lead nowhere.
  std::size_t vanished = 0;  ///< Removed while listing.
  std::string example;       ///< One of them.

  void tell(const std::function<void(const std::string&)>& warn) const;
};

/// The folder without slashes at its end, but for "/" itself.
std::string without_slash(std::string folder);

/// Names of the folders directly in `folder`, sorted bytewise. A link to a folder counts only with
/// `follow_symlinks`. `loose` counts the other things. Names that begin with a dot are invisible. Throws
/// graft::Error when `folder` cannot be listed.
std::vector<std::string> list_folders(const std::string& folder, bool follow_symlinks, Skipped& skipped,
                                      std::size_t& loose);

/// All regular files in `folder` and below, sorted bytewise by path; never opened. Throws graft::Error when a
/// folder cannot be listed: files that silently go missing would make wrong numbers.
std::vector<FoundFile> list_files(const std::string& folder, bool follow_symlinks, Skipped& skipped);

}  // namespace graft::source
