#include "plugin_templates.h"

#include <fmt/format.h>

#include <graft/error.h>

#include "base/files.h"
#include "plugin/registry.h"

namespace graft::cli {
namespace fs = std::filesystem;
namespace {

/// In an installation with the component dev, or in the sources.
fs::path templates_folder() {
  const fs::path installed = (program_folder() / ".." / GRAFT_DATADIR / "graft/templates").lexically_normal();
  const fs::path sources = fs::path(GRAFT_SOURCE_FOLDER) / "pipeline/templates";
  for (const fs::path& folder : {installed, sources})
    if (fs::is_directory(folder)) return folder;
  throw Error(
      fmt::format("the templates of plugins are not installed: expected the folder {}; install graft's "
                  "development files (the package graft-dev)",
                  installed.string()));
}

void replace(std::string& text, const std::string& word, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += by.size())
    text.replace(at, word.size(), by);
}

/// Where CMake finds this graft, unless it looks there anyway.
std::string prefix_option() {
  const fs::path program = program_folder();
  if (program == "/usr/bin" || program == "/usr/local/bin") return {};
  const fs::path prefix = program.filename() == "bin" ? program.parent_path() : program;
  return " -DCMAKE_PREFIX_PATH=" + prefix.string();
}

}  // namespace

const std::vector<std::string>& template_kinds() {
  static const std::vector<std::string> kKinds = {"source",    "transform", "batch",      "engine",
                                                  "collector", "learner",   "calibrator", "report"};
  return kKinds;
}

std::string class_name_of(const std::string& plugin) {
  std::string out;
  bool starts = true;
  for (const char c : plugin) {
    if (c == '_') {
      starts = true;
      continue;
    }
    out += starts && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    starts = false;
  }
  return out;
}

std::map<fs::path, std::string> plugin_files(const std::string& plugin, const std::string& kind) {
  const fs::path templates = templates_folder();
  const std::map<fs::path, fs::path> names = {{plugin + ".cpp", templates / kind / "plugin.cpp.in"},
                                              {plugin + "_test.cpp", templates / kind / "plugin_test.cpp.in"},
                                              {"CMakeLists.txt", templates / kind / "CMakeLists.txt.in"},
                                              {plugin + ".yaml", templates / kind / "example.yaml.in"},
                                              {"README.md", templates / "README.md.in"}};
  std::map<fs::path, std::string> files;
  for (const auto& [name, from] : names) {
    std::string text = read_file(from);
    replace(text, "@NAME@", plugin);
    replace(text, "@CLASS@", class_name_of(plugin));
    replace(text, "@SHORT@", plugin.starts_with("engine_") ? plugin.substr(7) : plugin);
    replace(text, "@PREFIX_PATH@", prefix_option());
    files[name] = std::move(text);
  }
  return files;
}

}  // namespace graft::cli
