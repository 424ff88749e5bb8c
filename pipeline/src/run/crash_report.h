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

/// A plugin that calls exit() or quick_exit() ends the run with exit code 1 and a line that names it; what
/// was printed before is flushed. To be called again after a plugin was loaded, whose exit handlers would run
/// before.
GRAFT_API void watch_exit();

/// The same for a function that calls no handlers, `_exit` or `_Exit`: for a program that defines and exports
/// it. Outside of plugins, and in a process that one has forked, it ends the process with `exit_code`.
[[noreturn]] GRAFT_API void exit_at_once(int exit_code, const char* function) noexcept;

/// The same for `pthread_exit` in a call of a plugin: the thread is one of the run, which would wait for it
/// for ever. Returns outside of plugins, whose own threads may end as they like.
GRAFT_API void report_end_of_thread(const char* function) noexcept;

}  // namespace graft
