#pragma once

#include <string>

namespace graft::cli {

/// What every command wants of the operating system: stacks that are large enough, and a write over the limit
/// of file sizes (ulimit -f) that is an error like a full disk, not the end of the process. Before threads
/// are started. Says what is wrong when it cannot be had; empty: nothing.
std::string prepare_process();

}  // namespace graft::cli
