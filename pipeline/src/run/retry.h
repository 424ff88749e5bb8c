#pragma once

#include <atomic>

#include "base/files.h"
#include "config/plan.h"

namespace graft {

/// Reads an input as read_input_file does, and again as `run.retry` says where it cannot be read for a reason
/// of the moment (`unreadable`: an I/O error, a file system that does not answer). A file that is missing is
/// not looked for again. Waits on the calling thread; an interruption ends the waiting. Throws Reject.
GRAFT_API Bytes read_with_retries(const FileRef& file, const RunSettings& settings,
                                  const std::atomic<bool>& interrupted);

}  // namespace graft
