#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace graft::model {

/// Bytes that have come, and all there will be where the server said so, else 0.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

/// Fetches a http or https address into a file, which must not exist yet. Redirections are followed, a proxy
/// of the environment is used. Ends after 20 s without a connection, after 60 s without a byte, and at
/// `limit` bytes. Throws Error with the reason; the file is then gone.
void download(const std::string& url, const std::filesystem::path& file, std::uint64_t limit,
              const Progress& progress);

}  // namespace graft::model
