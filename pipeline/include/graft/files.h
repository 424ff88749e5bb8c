#pragma once

#include <filesystem>
#include <string_view>

#include <graft/export.h>

namespace graft {

/// Writes to a temporary name, syncs, renames, syncs the folder: readers see the old content or the new,
/// whole. Throws Error with path, size and reason.
GRAFT_API void write_file_atomically(const std::filesystem::path& path, std::string_view content);

}  // namespace graft
