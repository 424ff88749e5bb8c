#pragma once

#include <signal.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <graft/export.h>

namespace graft {

/// How the calling thread computes: rounding, traps, what becomes of denormal numbers. -ffast-math sets it
/// when a library is loaded. Reading it takes some nanoseconds.
class GRAFT_API FloatingPointMode {
 public:
  /// That of the calling thread.
  static FloatingPointMode now() noexcept;
  /// Makes it that of the calling thread. Flags of exceptions stay.
  void set() const noexcept;
  friend bool operator==(const FloatingPointMode&, const FloatingPointMode&) = default;

 private:
  std::uint64_t bits_ = 0;  ///< Of the processor's control registers; 0 where those are not known.
};

/// What belongs to the whole process, or to the thread, and no plugin may change: the locale, the working
/// folder, the umask, what becomes of signals, variables of the environment that graft, the C library or
/// programs that graft starts read, the floating-point mode. One thread. Making one takes about 20
/// microseconds, and so does restore().
class GRAFT_API ProcessState {
 public:
  ProcessState();
  /// "calls setlocale: ..." for the first thing that has changed since; empty: nothing has. Puts all of it
  /// back.
  std::string restore() const;

 private:
  /// Those that would end or interrupt a run, or report its crash.
  static constexpr std::array kSignals{SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE, SIGCHLD, SIGUSR1,
                                       SIGXFSZ, SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGABRT};
  using Actions = std::array<struct sigaction, kSignals.size()>;
  static Actions actions_now();

  std::string locale_, folder_;
  std::optional<mode_t> umask_;  ///< Nothing where the system does not tell.
  Actions actions_;
  std::vector<std::string> variables_;  ///< "NAME=value", in the order of the environment.
  FloatingPointMode floating_point_ = FloatingPointMode::now();
};

/// What restore() says of a floating-point mode.
constexpr const char* kChangesFloatingPoint =
    "changes the floating-point mode of its thread (-ffast-math does, also in a library that is linked)";

}  // namespace graft
