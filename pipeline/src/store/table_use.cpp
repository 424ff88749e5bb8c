#include "store/table_use.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <system_error>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/hash.h>

#include "base/files.h"
#include "store/manifest.h"

namespace graft {
namespace fs = std::filesystem;

namespace {

/// Where the file system is mounted that a path lies in, as far as that is there.
std::string mount_of(fs::path path) {
  struct stat info {
  }, above{};
  while (::stat(path.c_str(), &info) != 0) {
    if (!path.has_relative_path()) return {};
    path = path.parent_path();
  }
  while (path.has_relative_path() && ::stat(path.parent_path().c_str(), &above) == 0 &&
         above.st_dev == info.st_dev)
    path = path.parent_path();
  return path.string();
}

/// Whether a run's folder that is not there may be somewhere else: on a disk that is not mounted here, or
/// where paths mean something else, as in a container.
bool may_be_elsewhere(const TableUse& use) {
  std::error_code error;
  // Somebody may have removed all runs, with the folder that they were in.
  const fs::path parent = use.folder.parent_path();
  if (!fs::exists(parent, error) && !fs::exists(parent.parent_path(), error)) return true;
  if (use.mount.empty() || mount_of(use.folder) == use.mount) return false;
  // The same folder may be mounted there, and lie on the disk of its parent here.
  const bool empty = fs::is_empty(use.mount, error);
  return error || empty;
}

/// Looks for a run that names a table.
class ReferenceSearch {
 public:
  explicit ReferenceSearch(const std::string& fingerprint) : fingerprint_(fingerprint) {}

  /// Whether the run at the place names it, or an earlier one of the place. A run that is replaced goes from
  /// its place to a hidden folder, from there to <place>.1, then .2 and so on; one that a killed process had
  /// just replaced goes back to the place. To look in this order, each listing a fresh one, misses none that
  /// moves meanwhile.
  bool at_or_beside(const fs::path& place) {
    if (names_it(place)) return true;
    const std::string name = place.filename().string();
    for (const fs::path& hidden : beside(place, fmt::format(".{}.run-", name)))
      if (names_it(hidden)) return true;
    for (unsigned n = 0; (n = next_number(place, n)) != 0;)
      if (names_it(place.string() + "." + std::to_string(n))) return true;
    return names_it(place);
  }
  /// Whether some of it could not be read.
  bool unknown() const { return unknown_; }

 private:
  bool names_it(const fs::path& folder) {
    try {
      return read_file(folder / "manifest.json").find(fingerprint_) != std::string::npos;
    } catch (const Unreadable&) {
      unknown_ = true;
      return false;
    } catch (const Error&) {
      return false;
    }
  }
  std::vector<fs::path> beside(const fs::path& place, const std::string& prefix) {
    std::vector<fs::path> out;
    std::error_code error;
    for (fs::directory_iterator it(place.parent_path(), error), end; !error && it != end; it.increment(error))
      if (it->path().filename().string().starts_with(prefix)) out.push_back(it->path());
    if (error && error != std::errc::no_such_file_or_directory) unknown_ = true;
    return out;
  }
  /// The least number after that of an earlier run; 0: there is none.
  unsigned next_number(const fs::path& place, unsigned after) {
    const std::string prefix = place.filename().string() + ".";
    unsigned next = 0;
    for (const fs::path& folder : beside(place, prefix)) {
      const std::string file = folder.filename().string();
      const char* const end = file.data() + file.size();
      unsigned n = 0;
      const auto read = std::from_chars(file.data() + prefix.size(), end, n);
      if (read.ec == std::errc() && read.ptr == end && n > after && (next == 0 || n < next)) next = n;
    }
    return next;
  }

  const std::string& fingerprint_;
  bool unknown_ = false;
};

}  // namespace

Value to_value(const TableUse& use) {
  return Value::Map{{"run", use.run},
                    {"stage", use.stage},
                    {"folder", use.folder.string()},
                    {"time", Value(use.time)},
                    {"inputs", Value(use.inputs)},
                    {"ok", Value(use.ok)},
                    {"rejected", Value(use.rejected)}};
}

fs::path write_use(const fs::path& table, const TableUse& use, const std::string& attempt) {
  Value v = to_value(use);
  v["list"] = use.list;
  v["mount"] = mount_of(use.folder);
  make_folders(table / "uses");
  const std::string name = digest(use.folder.string() + "/" + use.stage).hex();
  fs::path file = table / "uses" / (name + (attempt.empty() ? "" : "." + attempt) + ".json");
  write_file_atomically(file, v.to_json_pretty());
  return file;
}

std::vector<TableUse> read_uses(const fs::path& table, std::vector<DamagedUse>* damaged) {
  std::vector<TableUse> out;
  std::vector<fs::path> files;
  try {
    files = files_in(table / "uses", ".json");
  } catch (const Unreadable& e) {
    if (damaged != nullptr) damaged->push_back({table / "uses", e.what(), true});
  }
  for (const fs::path& path : files) try {
      const Value v = Value::from_json(read_file(path));
      const auto member = [&](const char* key) -> const Value& {
        const Value* found = v.find(key);
        if (found == nullptr || (found->is_int() && found->as_int() < 0))
          throw Error(fmt::format("'{}' is missing", key));
        return *found;
      };
      TableUse use;
      use.file = path;
      use.run = member("run").as_string();
      use.stage = member("stage").as_string();
      use.folder = member("folder").as_string();
      use.time = member("time").as_int();
      use.inputs = static_cast<std::uint64_t>(member("inputs").as_int());
      use.ok = static_cast<std::uint64_t>(member("ok").as_int());
      use.rejected = static_cast<std::uint64_t>(member("rejected").as_int());
      use.list = member("list").as_string();
      if (const Value* mount = v.find("mount")) use.mount = mount->as_string();
      if (use.list.find('/') != std::string::npos) throw Error("'list' is no name");
      out.push_back(std::move(use));
    } catch (const Unreadable& e) {
      if (damaged != nullptr) damaged->push_back({path, e.what(), true});
    } catch (const Error& e) {
      std::error_code gone;  // a use may be replaced or removed meanwhile
      if (damaged != nullptr && fs::exists(path, gone)) damaged->push_back({path, e.what(), false});
    }
  std::stable_sort(out.begin(), out.end(),
                   [](const TableUse& a, const TableUse& b) { return a.time > b.time; });
  return out;
}

Reference reference_by(const TableUse& use, const std::string& fingerprint) {
  ReferenceSearch search(fingerprint);
  if (search.at_or_beside(use.folder)) return Reference::Named;
  // Earlier runs lie beside what a link leads to.
  std::error_code none;
  if (const fs::path target = fs::read_symlink(use.folder, none); !none)
    if (search.at_or_beside(place_of(use.folder.parent_path() / target))) return Reference::Named;
  if (search.unknown() || may_be_elsewhere(use)) return Reference::Unknown;
  return Reference::NotNamed;
}

}  // namespace graft
