#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "plugin/schema_file.h"

namespace graft::cli {

/// Makes a stage of a plugin from its defaults, in a child process, and reports where its class differs from
/// the schema: it is of another kind, or reads a parameter that is not declared or has another type. Empty:
/// no difference, or the plugin has required parameters, or its constructor fails because something is
/// missing on this machine.
std::string faults_of_class(const SchemaFile& schema, const std::filesystem::path& plugin,
                            std::chrono::milliseconds limit);

}  // namespace graft::cli
