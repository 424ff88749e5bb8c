#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace graft::source {

/// "a, b, c and 7 more": at most ten names, each shortened.
std::string joined(const std::vector<std::string>& words);

/// At most the first 100 bytes or so of a name that may be a megabyte, never half a character.
std::string shortened(const std::string& name);

/// "1 file", "2 files".
std::string plural(std::size_t n, const std::string& noun);

/// "FOLDER/NAME".
std::string below(const std::string& folder, const std::string& name);

/// What stands behind the last dot of a file's name, in small letters; empty where there is none.
std::string extension(const std::string& path);

/// Of a format that images have: jpg, png ...
bool is_image_extension(const std::string& extension);

/// The number with leading zeros up to five digits, so that keys sort as their numbers do.
std::string five_digits(std::size_t n);

}  // namespace graft::source
