#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <graft/export.h>
#include <graft/value.h>

namespace graft {

/// A complete run's use of a table: `uses/<digest of the run's folder>.json`. The last one of each folder
/// counts.
struct TableUse {
  std::filesystem::path file;  ///< Where this is kept.
  std::string run, stage;      ///< Names in the config.
  std::filesystem::path
      folder;             ///< Of the run, absolute: its manifest.json names the table as long as it is used.
  std::int64_t time = 0;  ///< Seconds since 1970.
  std::uint64_t inputs = 0, ok = 0, rejected = 0;
  std::string list;   ///< Name of the list in inputs/.
  std::string mount;  ///< Where the file system of `folder` is mounted; empty: not noted.
};

/// All of it but where it and its list are kept.
GRAFT_API Value to_value(const TableUse& use);

/// Notes where the run's folder is mounted, too, and gives the file. `attempt`: of a run that is not complete
/// yet, whose use has a file of its own, `uses/<digest of the run's folder>.<attempt>.json`. Throws Error.
GRAFT_API std::filesystem::path write_use(const std::filesystem::path& table, const TableUse& use,
                                          const std::string& attempt = {});

struct DamagedUse {
  std::filesystem::path file;
  std::string why;
  bool unreadable = false;  ///< It could not be read, which does not prove damage.
};

/// Those that can be read, newest first. What cannot be, which may be the folder of all, is named in
/// `damaged` when that is given.
GRAFT_API std::vector<TableUse> read_uses(const std::filesystem::path& table,
                                          std::vector<DamagedUse>* damaged = nullptr);

/// Whether the run's folder, or one beside it in which earlier runs of it are, says that it used the table.
enum class Reference {
  Named,
  NotNamed,
  Unknown,  ///< Something could not be read, or lies on a disk that is not mounted here.
};
GRAFT_API Reference reference_by(const TableUse& use, const std::string& fingerprint);

}  // namespace graft
