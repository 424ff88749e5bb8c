#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <graft/export.h>

namespace graft {

/// Bytes that OpenBLAS takes for every thread that uses it. If it gets none, version 0.3.21 retries forever,
/// so callers must check first.
constexpr std::uint64_t kBlasBufferBytes = 128ULL << 20;

/// Whether the memory that this process may map is limited: ulimit -v.
GRAFT_API bool is_address_space_limited();
/// Bytes that the process may still map.
GRAFT_API std::uint64_t address_space_left();
/// The limit itself, in bytes.
GRAFT_API std::uint64_t address_space_limit();

/// What it takes to open libraries.
struct LibraryNeed {
  std::uint64_t bytes = 0;  ///< Of libraries that are not loaded yet, and of OpenBLAS's buffers at start.
  bool has_blas = false;    ///< OpenBLAS is among them, loaded or not.
};
/// By the dynamic loader's own list of what a shared object needs, which runs none of its code.
GRAFT_API LibraryNeed need_of(const std::vector<std::filesystem::path>& files);

/// Whether `file` can be opened within the limit; if not, fills in what is missing.
GRAFT_API bool address_space_suffices(const std::filesystem::path& file, std::string& wanted,
                                      std::string& got, std::string& cure);

}  // namespace graft
