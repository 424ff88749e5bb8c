#pragma once

#include <filesystem>
#include <string>

namespace graft::nn {

/// SHA-256 of a file's content as 64 lower-case hexadecimal digits. Throws Error when the file cannot be
/// read.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace graft::nn
