#include "run/table_changes.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>
#include <graft/value_path.h>

#include "store/table_check.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxNamed = 4;
constexpr std::string_view kParameters = "with.";

using Leaves = std::map<std::string, std::string>;

/// Every value of a stage by its dotted name: "version", "with.normalize.mean".
void add_leaves(const std::string& name, const Value& v, Leaves& out) {
  if (v.is_map()) {
    for (const auto& [key, value] : v.as_map())
      add_leaves(name.empty() ? key : fmt::format("{}.{}", name, key), value, out);
  } else if (!v.is_null()) {
    out[name] = v.is_string() ? v.as_string() : v.to_json();
  }
}

Leaves leaves_of(const Value& stage) {
  Leaves out;
  add_leaves("", stage, out);
  return out;
}

std::string plugin_of(const Value& stage) {
  const std::string plugin = text_at(stage, {"plugin"});
  return plugin.empty() ? stage.to_json() : plugin;
}

void compare_stages(const std::string& id, const Value& then, const Value& now,
                    std::vector<std::string>& out) {
  const Leaves a = leaves_of(then), b = leaves_of(now);
  Leaves names = a;
  names.insert(b.begin(), b.end());
  const auto value = [](const Leaves& leaves, const std::string& name) {
    const auto found = leaves.find(name);
    return found == leaves.end() ? std::string("none") : found->second;
  };
  for (const auto& [path, ignored] : names) {
    const std::string x = value(a, path), y = value(b, path);
    if (x == y) continue;
    const std::string name = path.starts_with(kParameters) ? path.substr(kParameters.size()) : path;
    if (path == "version")
      out.push_back(fmt::format("{}: {} {} -> {}", id, plugin_of(now), x, y));
    else if (is_digest(x) && is_digest(y))
      out.push_back(
          fmt::format("{}.{} has other content ({} -> {})", id, name, x.substr(0, 8), y.substr(0, 8)));
    else
      out.push_back(fmt::format("{}.{} {} -> {}", id, name, x, y));
  }
}

/// Length of the longest common subsequence of plugins from (i, j) on.
std::vector<std::vector<int>> common(const Value::List& a, const Value::List& b) {
  std::vector<std::vector<int>> length(a.size() + 1, std::vector<int>(b.size() + 1, 0));
  for (std::size_t i = a.size(); i-- > 0;)
    for (std::size_t j = b.size(); j-- > 0;)
      length[i][j] = plugin_of(a[i]) == plugin_of(b[j]) ? length[i + 1][j + 1] + 1
                                                        : std::max(length[i + 1][j], length[i][j + 1]);
  return length;
}

}  // namespace

std::vector<std::string> differences(const Value& then, const Value& now,
                                     const std::vector<std::string>& ids) {
  std::vector<std::string> out;
  const Value::List &a = list_at(then, {"stages"}), &b = list_at(now, {"stages"});
  const auto id = [&](std::size_t j) { return j < ids.size() ? ids[j] : plugin_of(b[j]); };
  const auto form = [](const Value& description) {
    const Value* version = description.find("fingerprint_version");
    return version == nullptr ? "none" : version->to_json();
  };
  if (form(then) != form(now))
    out.push_back(
        fmt::format("another version of graft made it (fingerprint {} -> {})", form(then), form(now)));
  const auto length = common(a, b);
  std::size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && plugin_of(a[i]) == plugin_of(b[j])) {
      compare_stages(id(j), a[i++], b[j], out);
      ++j;
    } else if (j == b.size() || (i < a.size() && length[i + 1][j] >= length[i][j + 1])) {
      out.push_back(fmt::format("a stage of plugin {} was removed", plugin_of(a[i++])));
    } else {
      out.push_back(fmt::format("stage '{}' was added{}", id(j), j == 0 ? "" : " after " + id(j - 1)));
      ++j;
    }
  }
  return out;
}

std::optional<EarlierTable> earlier_table(const fs::path& store, const Fingerprint& fingerprint,
                                          const TableUser& user) {
  std::error_code ignored;  // without a current folder, no earlier run was there
  const fs::path folder = fs::absolute(user.folder, ignored).lexically_normal();
  std::optional<EarlierTable> best;
  const auto is_better = [&](const EarlierTable& a, const EarlierTable& b) {
    const bool a_here = a.use.folder == folder, b_here = b.use.folder == folder;
    if (a_here != b_here) return a_here;
    if (!a_here && a.differences.size() != b.differences.size())
      return a.differences.size() < b.differences.size();
    return a.use.time > b.use.time;
  };
  for (const fs::path& table : tables_in(store)) {
    if (table.filename() == fingerprint.hex()) continue;
    for (TableUse& use : read_uses(table)) {
      if (use.run != user.run || use.stage != user.stage) continue;
      EarlierTable found{std::move(use), table, {}};
      try {
        const Value then = read_description(table);
        if (common(list_at(then, {"stages"}), list_at(fingerprint.description, {"stages"}))[0][0] == 0)
          continue;
        found.differences = differences(then, fingerprint.description, fingerprint.stage_ids);
      } catch (const Error&) {  // foreign or damaged: no help to anybody
        continue;
      }
      if (!best || is_better(found, *best)) best = std::move(found);
    }
  }
  return best;
}

std::optional<std::string> why_new(const fs::path& store, const Fingerprint& fingerprint,
                                   const TableUser& user) {
  std::optional<EarlierTable> earlier = earlier_table(store, fingerprint, user);
  if (!earlier || earlier->differences.empty()) return {};
  std::error_code ignored;
  const fs::path near = earlier->use.folder.lexically_proximate(fs::current_path(ignored));
  return fmt::format("{} (since the run in {})", joined(earlier->differences, kMaxNamed),
                     near.empty() || *near.begin() == ".." ? earlier->use.folder.string() : near.string());
}

}  // namespace graft
