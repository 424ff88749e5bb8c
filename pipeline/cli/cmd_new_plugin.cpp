#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include <graft/files.h>

#include "base/files.h"
#include "commands.h"
#include "output.h"
#include "plugin/registry.h"
#include "plugin_templates.h"

namespace graft::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kLongestName = 64;

/// Names of which CMake makes targets of its own, that of graft's package, and words that YAML reads as other
/// values than a name.
constexpr std::string_view kTakenNames =
    " all clean depend edit_cache false graft help install install_local install_strip "
    "list_install_components no null off on package package_source preinstall rebuild_cache test true yes ";

/// Lower case, so that the class, which is in camel case, has another name than the plugin.
void check_plugin_name(const std::string& name, const std::string& kind) {
  const bool valid = !name.empty() && name.size() <= kLongestName && name[0] >= 'a' && name[0] <= 'z' &&
                     name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
  if (!valid)
    throw UsageError{
        fmt::format("'{}' is not a name for a plugin: expected a-z, 0-9 and _, a letter first, at "
                    "most {} characters",
                    name, kLongestName)};
  if (kTakenNames.find(" " + name + " ") != std::string_view::npos)
    throw UsageError{fmt::format(
        "'{0}' is not a name for a plugin: CMake, YAML or graft use it for something else; choose "
        "another one, such as my_{0}",
        name)};
  if (kind == "engine" && !name.starts_with("engine_"))
    throw UsageError{
        fmt::format("an engine is named engine_NAME, so that a config says `engine: NAME`: graft "
                    "new-plugin engine_{} --kind engine",
                    name)};
}

}  // namespace

int new_plugin(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& name = only_argument(arguments, "NAME");
  const std::string& kind = global.new_plugin.kind;
  const std::vector<std::string>& kinds = template_kinds();
  if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
    const auto near = nearest(kind, kinds);
    throw UsageError{kind.empty() ? fmt::format("expected --kind KIND, one of {}", fmt::join(kinds, ", "))
                                  : fmt::format("--kind: '{}' is not a kind of plugin{} (kinds: {})", kind,
                                                near ? fmt::format("; did you mean '{}'?", *near) : "",
                                                fmt::join(kinds, ", "))};
  }
  check_plugin_name(name, kind);
  const Registry registry(Registry::search_path(global.plugin_dirs));
  if (const Registry::Plugin* known = registry.find(name))
    throw UsageError{fmt::format("there is a plugin '{}' in {}: choose another name", name,
                                 known->path.parent_path().string())};
  const fs::path folder = global.out.empty() ? fs::path(name) : global.out;
  if (fs::exists(folder) && (!fs::is_directory(folder) || !fs::is_empty(folder)))
    throw UsageError{
        fmt::format("{} is there and not an empty folder: choose another one with --out", folder.string())};
  const auto files = plugin_files(name, kind);
  make_folders(folder, "choose another folder with --out");
  for (const auto& [file, content] : files) write_file_atomically(folder / file, content);
  say("{}:", printable(folder.string()));
  for (const auto& [file, content] : files) say(" {}", file.string());
  say("\nnext: cd {} and follow README.md\n", printable(folder.string()));
  return kOk;
}

}  // namespace graft::cli
