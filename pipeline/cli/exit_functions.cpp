// Functions of the program that end the process or a thread without handlers. A call from a plugin resolves
// to the program before the C library, so that a plugin which would end the run with exit code 0 and without
// a word, or leave it waiting, is named instead. Graft itself calls end_process(); processes that plugins
// fork end as they ask.

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <threads.h>
#include <unistd.h>

#include "base/end_process.h"
#include "run/crash_report.h"

// A sanitizer has functions of these names, which report what it has found.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED void _exit(int exit_code) {
  graft::exit_at_once(exit_code, "_exit");
}

EXPORTED void _Exit(int exit_code) noexcept {
  graft::exit_at_once(exit_code, "_Exit");
}

namespace {

/// By the function of the C library, where no plugin is being called.
template <typename Result>
[[noreturn]] void end_thread(const char* function, Result result) {
  graft::report_end_of_thread(function);
  using Function = void (*)(Result);
  if (const auto of_library = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, function))) of_library(result);
  graft::end_process(1);
}

}  // namespace

EXPORTED void pthread_exit(void* result) {
  end_thread("pthread_exit", result);
}

// C11's, which does not come by pthread_exit.
EXPORTED void thrd_exit(int result) {
  end_thread("thrd_exit", result);
}
#endif
