#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "plugin/schema_file.h"

namespace graft::cli {

/// Makes a stage of a plugin from its defaults, in a child process, and says where its class is not what the
/// schema declares: of another kind, or reading a parameter that is not declared or is of another type.
/// Empty: nothing of that, or the plugin has required parameters, or its constructor fails for want of what
/// is elsewhere.
std::string faults_of_class(const SchemaFile& schema, const std::filesystem::path& plugin,
                            std::chrono::milliseconds limit);

}  // namespace graft::cli
