#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace graft::cli {

/// Kinds of plugins that there is a template for, in the order of a run.
const std::vector<std::string>& template_kinds();

/// ext_1_a_123b -> Ext1A123b.
std::string class_name_of(const std::string& plugin);

/// The files of a new plugin, name -> content: its source, test, build file, README and a config that runs
/// it. They come from the folder of templates that is installed with the headers. Throws Error when that is
/// not installed.
std::map<std::filesystem::path, std::string> plugin_files(const std::string& plugin, const std::string& kind);

}  // namespace graft::cli
