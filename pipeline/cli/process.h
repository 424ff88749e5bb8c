#pragma once

#include <string>

namespace graft::cli {

/// Sets the process up for every command: stacks that are large enough, and a write over the limit of file
/// sizes (ulimit -f) that is an error like a full disk, not the end of the process. To be called before
/// threads are started. Returns an error message, of GRAFT_MAX_CPU_ISA too; empty: success.
std::string prepare_process();

}  // namespace graft::cli
