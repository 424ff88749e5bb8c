#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "plugin/schema_file.h"

namespace graft::cli {

/// Everything that is wrong with the schema of a plugin, its class and its example, one error per line with
/// its fix; empty: it is sound. `plugin` is the shared object that declared the schema.
std::string faults_of_plugin(const SchemaFile& schema, const std::filesystem::path& plugin);

}  // namespace graft::cli
