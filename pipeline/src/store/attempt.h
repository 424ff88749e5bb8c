#pragma once

#include <filesystem>
#include <string>

#include <graft/export.h>

namespace graft {

/// Files that a process is still at are named by their writer: `<host>.<pid>.<start of the
/// process>.<random>`, so that no two attempts ever share one, not even two copies of a job.
GRAFT_API std::string new_attempt();

/// Whether the file was named on this host.
GRAFT_API bool is_of_this_host(const std::filesystem::path& file);

/// Whether the process that a file is named by is gone, as far as this machine can tell. Files of other hosts
/// count as left when nothing has changed in them for a day.
GRAFT_API bool is_abandoned(const std::filesystem::path& file);

}  // namespace graft
