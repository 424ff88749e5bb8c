#pragma once

#include <graft/export.h>

namespace graft {

/// From here on, what would end the process without a word ends it with one line on stderr and exit code 1: a
/// crash (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, a stack that overflows) and std::terminate. The line
/// names the stage, its plugin and the item, where a plugin was being called. Rows that were committed are
/// safe, as they are from SIGKILL. Does nothing in a build with a sanitizer, which reports crashes itself.
GRAFT_API void install_crash_report();

/// A second line, after the one of a crash: where the log of the run is. Null: no run. `text` must live for
/// ever.
GRAFT_API void set_crash_hint(const char* text) noexcept;

/// A plugin that calls exit() ends the run with exit code 1 and a line that names it. To be called again
/// after a plugin was loaded, whose exit handlers would run before.
GRAFT_API void watch_exit();

}  // namespace graft
