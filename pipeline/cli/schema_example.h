#pragma once

#include <filesystem>
#include <string>

#include "plugin/schema_file.h"

namespace graft::cli {

/// The errors that `graft check` would report for the example config of a plugin that has no schema file yet;
/// empty: none. An example may name data that are elsewhere, and plugins that are built later: if they are
/// missing, that is not an error here, and without the plugins only the YAML is checked.
std::string faults_of_example(const SchemaFile& schema, const std::filesystem::path& plugin);

}  // namespace graft::cli
