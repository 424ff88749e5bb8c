#pragma once

#include <string>
#include <vector>

namespace graft::cli {

/// `graft __manual FOLDER`, run by the build: writes a manual page for graft and for each of its commands,
/// graft.1, graft-run.1, ..., into the folder, which it makes. Their date is SOURCE_DATE_EPOCH, or today.
/// Throws Error.
int write_manual(const std::vector<std::string>& arguments);

}  // namespace graft::cli
