#pragma once

#include <string>

#include <graft/export.h>

namespace graft {

/// \file
/// Kinds of files by their names. Any thread.

/// What follows the last dot of a file's name, in lower case; empty where there is none.
GRAFT_API std::string file_extension(const std::string& path);
/// Whether images have this extension, as file_extension() gives it: "jpg", "png" ...
GRAFT_API bool is_image_extension(const std::string& extension);
/// Whether a file is an archive that sources read.
GRAFT_API bool is_archive_name(const std::string& path);

}  // namespace graft
