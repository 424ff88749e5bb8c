#pragma once

#include <string>

namespace graft::source {

/// "FOLDER/NAME".
std::string below(const std::string& folder, const std::string& name);

/// What follows the last dot of a file's name, in small letters; empty where there is none.
std::string extension(const std::string& path);

/// Of a format that images have: jpg, png ...
bool is_image_extension(const std::string& extension);

}  // namespace graft::source
