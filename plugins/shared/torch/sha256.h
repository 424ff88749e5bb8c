#pragma once

#include <string>

namespace graft {

/// SHA-256 of a file's content as 64 lower-case hexadecimal digits. Throws Error when the file cannot be
/// read.
std::string sha256_of_file(const std::string& path);

}  // namespace graft
