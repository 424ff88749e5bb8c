#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <graft/export.h>

namespace graft {

/// Writes to a temporary name, syncs, renames, syncs the folder: readers see the old content or the new,
/// whole. Throws Error with path, size and reason.
GRAFT_API void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// SHA-256 of a file's content as 64 lower-case hexadecimal digits. Throws Error when the file cannot be
/// read.
GRAFT_API std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace graft
