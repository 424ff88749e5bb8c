#include "process.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>

#include <fmt/format.h>

#include "base/cpu_isa_limit.h"
#include "base/library_environment.h"

namespace graft::cli {
namespace {

/// The usual size, and the smallest that networks and regular expressions are known to run on.
constexpr rlim_t kUsualStack = 8 << 20, kLeastStack = 1 << 20;

/// A thread gets the stack that the limit said when the program began.
bool give_threads(std::size_t stack) {
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) != 0) return false;
  const bool given =
      ::pthread_attr_setstacksize(&attributes, stack) == 0 && ::pthread_setattr_default_np(&attributes) == 0;
  ::pthread_attr_destroy(&attributes);
  return given;
}

}  // namespace

std::string prepare_process() {
  if (std::string fault = fault_of_cpu_isa_limit(); !fault.empty()) return fault;
  set_library_environment();
  ::signal(SIGXFSZ, SIG_IGN);
  // Every thread would reserve 64 MiB for its allocations, too much where ulimit -v is set.
  rlimit space{};
  if (::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) ::mallopt(M_ARENA_MAX, 2);
  rlimit stack{};
  if (::getrlimit(RLIMIT_STACK, &stack) != 0 || stack.rlim_cur == RLIM_INFINITY ||
      stack.rlim_cur >= kUsualStack)
    return {};
  const rlim_t wanted = std::min(kUsualStack, stack.rlim_max);
  const rlim_t before = stack.rlim_cur;
  stack.rlim_cur = wanted;
  if (wanted >= kLeastStack &&
      ((::setrlimit(RLIMIT_STACK, &stack) == 0 && give_threads(wanted)) || before >= kLeastStack))
    return {};
  return fmt::format("the stack limit is {} KiB, but graft needs {} KiB: raise ulimit -s",
                     std::min(before, wanted) >> 10, kLeastStack >> 10);
}

}  // namespace graft::cli
