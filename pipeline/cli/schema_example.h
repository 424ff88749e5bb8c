#pragma once

#include <filesystem>
#include <string>

#include "plugin/schema_file.h"

namespace graft::cli {

/// What `graft check` would say of the example config of a plugin that has no schema file yet; empty:
/// nothing. An example may name data that are elsewhere, and plugins that are built later: what is missing is
/// no fault here, and without the plugins only the YAML is looked at.
std::string faults_of_example(const SchemaFile& schema, const std::filesystem::path& plugin);

}  // namespace graft::cli
