#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <graft/export.h>

namespace graft {

/// Writes to a temporary name, syncs, renames, syncs the folder: readers see the old content or the new,
/// whole. Throws Error with path, size and reason.
GRAFT_API void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// Opens a regular file for reading, and nothing else: to open a FIFO or a device may block for ever or do
/// something. The descriptor, which the caller closes and programs started do not get; -1 and errno when that
/// fails, ENXIO for what is not a regular file. Any thread.
GRAFT_API int open_regular_file(const std::filesystem::path& path);

/// SHA-256 of a file's content as 64 lower-case hexadecimal digits. Throws Error when the file cannot be
/// read.
GRAFT_API std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace graft
