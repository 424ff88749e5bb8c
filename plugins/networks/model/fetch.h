#pragma once

#include <filesystem>
#include <string>

#include "checkpoints.h"

namespace graft::model {

/// Fetches `base`/FILE into a folder, which is made, under a temporary name; the file gets its own name when
/// its size and SHA-256 are right: all 64 digits, or, where they are not known, the eight of its name, which
/// the caller then has asked for. A good file that is there already is kept, a damaged one replaced. Says on
/// standard error what it does. Returns the path. Throws Error with what to do without the Internet.
std::filesystem::path fetch_checkpoint(const Checkpoint& checkpoint, const std::filesystem::path& folder,
                                       const std::string& base);

}  // namespace graft::model
