#include <map>
#include <sstream>

#include <fmt/format.h>

#include <graft/plugin.h>

#include "commands.h"
#include "helper_program.h"
#include "output.h"
#include "plugin/registry.h"
#include "run/libraries.h"

namespace graft::cli {
namespace {

std::vector<LibraryVersion> program_libraries() {
  std::vector<LibraryVersion> out = core_libraries();
  out.push_back({"Boost", version_of_file("libboost_program_options")});
#if GRAFT_HAS_HTTP
  out.push_back({"cpp-httplib", version_of_file("libcpp-httplib")});
#endif
  return out;
}

/// Those of the plugins that come with graft, but LibTorch, which is slow to load: from the program that is
/// linked with them.
std::vector<LibraryVersion> libraries_of_plugins() {
  std::vector<LibraryVersion> out;
  std::istringstream lines(output_of("graft-libraries", {}));
  for (std::string line; std::getline(lines, line);)
    if (const std::size_t tab = line.find('\t'); tab != std::string::npos)
      out.push_back({line.substr(0, tab), line.substr(tab + 1)});
  return out;
}

/// What plugins declare: the libraries that their output depends on, as they were built with them.
std::vector<LibraryVersion> declared_by_plugins(const Global& global) {
  std::vector<LibraryVersion> out;
  const Registry registry(Registry::search_path(global.plugin_dirs), Registry::Undescribed::PassedOver);
  for (const auto& [name, plugin] : registry.plugins())
    if (!plugin.schema.libraries.empty()) out.push_back({name, plugin.schema.libraries});
  return out;
}

Value to_map(const std::vector<LibraryVersion>& libraries) {
  Value out = Value::map();
  for (const LibraryVersion& library : libraries) out[library.name] = library.version;
  return out;
}

void print_list(const char* title, const std::vector<LibraryVersion>& libraries) {
  if (libraries.empty()) return;
  say("\n{}\n", title);
  for (const LibraryVersion& library : libraries) say("  {:<14}  {}\n", library.name, library.version);
}

}  // namespace

int version(const Global& global, const std::vector<std::string>& arguments) {
  no_arguments(arguments);
  const std::vector<LibraryVersion> libraries = program_libraries();
  const std::vector<LibraryVersion> of_plugins = libraries_of_plugins();
  const std::vector<LibraryVersion> declared = declared_by_plugins(global);
  if (global.json) {
    Value v = Value::map();
    v["graft"] = GRAFT_VERSION;
    v["plugin_api"] = GRAFT_PLUGIN_API;
    v["abi"] = GRAFT_ABI_TAG;
    v["compiler"] = compiler();
    v["libraries"] = to_map(libraries);
    v["plugin_libraries"] = to_map(of_plugins);
    v["plugins_built_with"] = to_map(declared);
    print_document(v);
    return kOk;
  }
  say("graft {}\nplugin API {}\nABI {}\ncompiler {}\n", GRAFT_VERSION, GRAFT_PLUGIN_API, GRAFT_ABI_TAG,
      compiler());
  print_list("libraries", libraries);
  print_list("libraries of plugins", of_plugins);
  if (of_plugins.empty())
    say("\nlibraries of plugins: unknown, graft-libraries was not built, not installed or cannot start\n");
  print_list("plugins were built with", declared);
  return kOk;
}

}  // namespace graft::cli
