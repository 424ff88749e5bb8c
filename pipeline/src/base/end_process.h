#pragma once

#include <graft/export.h>

namespace graft {

/// Ends this process at once, without handlers and destructors: what graft itself calls in place of _exit(),
/// which in the program graft reports the plugin that calls it (run/crash_report.h). Async-signal-safe.
[[noreturn]] GRAFT_API void end_process(int exit_code) noexcept;

}  // namespace graft
