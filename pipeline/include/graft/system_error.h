#pragma once

#include <string>

#include <graft/export.h>

namespace graft {

/// What the system says of an errno; of EFBIG with the limit that is to be raised: "File too large (ulimit -f
/// allows 4096 bytes per file: raise it)". Any thread.
GRAFT_API std::string system_error_text(int error);

}  // namespace graft
