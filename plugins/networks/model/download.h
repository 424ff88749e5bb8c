#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace graft::model {

/// Bytes that have come, and all there will be where the server said so, else 0.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

/// Bytes that a file may have: `most`, and exactly `exactly` where that is not 0.
struct Size {
  std::uint64_t most = 0, exactly = 0;
};

/// Whether files may come from an address: https, or http from this machine, where nobody is on the way.
bool is_safe_address(const std::string& url);

/// Fetches a safe address into a file, which must not exist yet. Up to 5 redirections to safe addresses are
/// followed, from https to https alone; a proxy of the environment is used. Ends after 20 s without a
/// connection, after 60 s without a byte, as soon as the server says another size, and at the byte that is
/// too much. Throws Error with the reason; the file is then gone.
void download(std::string url, const std::filesystem::path& file, Size size, const Progress& progress);

}  // namespace graft::model
