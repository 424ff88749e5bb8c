#pragma once

#include <string>

#include <graft/export.h>

namespace graft {

/// \file
/// What the names of files say of their content. Any thread.

/// What follows the last dot of a file's name, in small letters; empty where there is none.
GRAFT_API std::string file_extension(const std::string& path);
/// Of a format that images have: jpg, png ...
GRAFT_API bool is_image_extension(const std::string& extension);
/// Whether a file is an archive that sources read.
GRAFT_API bool is_archive_name(const std::string& path);

}  // namespace graft
