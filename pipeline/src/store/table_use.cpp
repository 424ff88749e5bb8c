#include "store/table_use.h"

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
  make_folders(table / "uses");
  const std::string name = digest(use.folder.string() + "/" + use.stage).hex();
  fs::path file = table / "uses" / (name + (attempt.empty() ? "" : "." + attempt) + ".json");
  write_file_atomically(file, v.to_json_pretty());
  return file;
}

std::vector<TableUse> read_uses(const fs::path& table, std::vector<DamagedUse>* damaged) {
  std::vector<TableUse> out;
  for (const fs::path& path : files_in(table / "uses", ".json")) try {
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

bool is_referenced(const TableUse& use, const std::string& fingerprint) {
  const auto names_it = [&](const fs::path& folder) {
    try {
      return read_file(folder / "manifest.json").find(fingerprint) != std::string::npos;
    } catch (const Error&) {
      return false;
    }
  };
  if (names_it(use.folder)) return true;
  // A run that is replaced goes from its place to a hidden folder, from there to <place>.1, then .2 and so
  // on. To look in this order, each listing a fresh one, misses none that moves meanwhile.
  const std::string name = use.folder.filename().string();
  const auto beside = [&](const std::string& prefix) {
    std::vector<fs::path> out;
    std::error_code error;
    for (fs::directory_iterator it(use.folder.parent_path(), error), end; !error && it != end;
         it.increment(error))
      if (it->path().filename().string().starts_with(prefix)) out.push_back(it->path());
    return out;
  };
  const std::vector<fs::path> hidden = beside(fmt::format(".{}.run-", name));
  if (std::any_of(hidden.begin(), hidden.end(), names_it)) return true;
  const auto next_number = [&](unsigned after) {
    unsigned next = 0;
    for (const fs::path& folder : beside(name + ".")) {
      const std::string file = folder.filename().string();
      const char* const end = file.data() + file.size();
      unsigned n = 0;
      const auto read = std::from_chars(file.data() + name.size() + 1, end, n);
      if (read.ec == std::errc() && read.ptr == end && n > after && (next == 0 || n < next)) next = n;
    }
    return next;
  };
  for (unsigned n = 0; (n = next_number(n)) != 0;)
    if (names_it(use.folder.string() + "." + std::to_string(n))) return true;
  return false;
}

}  // namespace graft
