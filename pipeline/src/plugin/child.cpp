#include "plugin/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook{20};
constexpr std::size_t kMaxSaid = 16 << 20;
/// Exit codes that no body uses: a library that calls exit() leaves by the second.
constexpr int kReturned = 0, kExited = 97;

[[noreturn]] void leave_at_exit() {
  ::_exit(kExited);
}

[[noreturn]] void be_the_child(const std::function<void(int)>& body, int to, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kExited);
  ::setpgid(0, 0);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  for (const int number : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP, SIGINT, SIGTERM, SIGPIPE})
    ::signal(number, SIG_DFL);
  if (const int nowhere = ::open("/dev/null", O_RDWR); nowhere >= 0)
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nowhere, fd);
  // The parent's exit handlers must not run here: they may remove files.
  std::atexit([] { leave_at_exit(); });
  try {
    body(to);
  } catch (...) {
    std::abort();
  }
  ::_exit(kReturned);
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return fmt::format("a crash ({})", ::strsignal(WTERMSIG(status)));
  if (WEXITSTATUS(status) == kReturned) return {};
  return WEXITSTATUS(status) == kExited ? "a call to exit()"
                                        : fmt::format("exit code {}", WEXITSTATUS(status));
}

/// What a process has done so far (proc(5), stat).
struct ProcessTime {
  Clock::duration computed{};
  bool asleep = false;  ///< Neither computing nor waiting for a processor or the disk.
};
ProcessTime process_time(pid_t pid) {
  ProcessTime out;
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(in, text);
  // The name of the program, in brackets, may hold anything.
  std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 1)));
  char state = 0;
  std::string skipped;
  fields >> state;
  for (int field = 4; field < 14; ++field) fields >> skipped;
  long user = 0, system = 0;
  if (fields >> user >> system)
    out.computed = std::chrono::milliseconds((user + system) * 1000 / ::sysconf(_SC_CLK_TCK));
  out.asleep = state != 'R' && state != 'D';
  return out;
}

}  // namespace

Child::Child(const std::function<void(int)>& body) : started_(Clock::now()) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    throw Error(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  std::fflush(nullptr);  // or the child would write it again
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::close(ends[0]);
    be_the_child(body, ends[1], parent);
  }
  const int error = errno;
  ::close(ends[1]);
  from_ = ends[0];
  if (pid_ < 0) {
    ::close(from_);
    throw Error(fmt::format("cannot start a process: {}", std::strerror(error)));
  }
  ::setpgid(pid_, pid_);
}

Child::~Child() {
  if (pid_ > 0) {
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  ::close(from_);
}

Child::End Child::wait(std::chrono::milliseconds limit) {
  End end;
  // What it has done before this looks counts, too; a late reader still gets what was written.
  const Clock::time_point first = Clock::now();
  const ProcessTime at_first = process_time(pid_);
  auto slept = at_first.asleep ? first - started_ - at_first.computed : Clock::duration::zero();
  Clock::time_point looked = first;
  const auto is_over = [&] {
    const Clock::time_point now = Clock::now();
    const ProcessTime time = process_time(pid_);
    if (time.asleep) slept += now - looked;
    looked = now;
    if (now - first < std::chrono::seconds(1)) return false;
    return slept + time.computed >= limit || now - started_ >= 10 * limit;
  };
  std::array<char, 1 << 16> buffer;
  for (pollfd ready{from_, POLLIN, 0};;) {
    const int n = ::poll(&ready, 1, static_cast<int>(kLook.count()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 || (n == 0 && is_over())) break;
    if (n == 0) continue;
    const ssize_t have = ::read(from_, buffer.data(), buffer.size());
    if (have < 0 && errno == EINTR) continue;
    if (have <= 0 || end.said.size() > kMaxSaid) break;
    end.said.append(buffer.data(), static_cast<std::size_t>(have));
  }
  // A body that has closed its end may still hang at its own.
  int status = 0;
  pid_t ended = 0;
  while ((ended = ::waitpid(pid_, &status, WNOHANG)) == 0 && !is_over()) ::usleep(1000);
  if (ended == pid_) {
    end.how = how_it_ended(status);
    ::kill(-pid_, SIGKILL);  // its own children
    pid_ = -1;
  } else {
    end.how =
        fmt::format("no result after {} s", std::chrono::duration_cast<std::chrono::seconds>(limit).count());
  }
  return end;
}

}  // namespace graft
