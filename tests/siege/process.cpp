#include "process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>

#include "temp_folder.h"

namespace graft::siege {
namespace fs = std::filesystem;
namespace {

constexpr int kNoContainer = 125;

/// In the new process, which is the first of its container.
bool enter_container() {
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0 &&
         ::sethostname("siege", 5) == 0;
}

[[noreturn]] void become(const Command& command) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (command.container && !enter_container()) ::_exit(kNoContainer);
  for (const std::string& e : command.environment) ::putenv(const_cast<char*>(e.c_str()));
  if (std::freopen((command.output / "stdout").c_str(), "w", stdout) == nullptr) ::_exit(126);
  if (std::freopen((command.output / "stderr").c_str(), "w", stderr) == nullptr) ::_exit(126);
  std::vector<char*> argv{const_cast<char*>(GRAFT_PROGRAM)};
  for (const std::string& a : command.arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  ::execv(GRAFT_PROGRAM, argv.data());
  ::_exit(127);
}

}  // namespace

std::string Ending::text() const {
  return signal != 0 ? "signal " + std::to_string(signal) : "exit code " + std::to_string(exit_code);
}

bool can_make_containers(std::string& why) {
  const test::TempFolder folder;
  try {
    Process process({{"version"}, {}, true, folder.path()});
    for (;; ::usleep(1000))
      if (const auto ending = process.poll()) {
        if (ending->exit_code == 0) return true;
        why = ending->exit_code == kNoContainer ? "may not mount /proc" : ending->text();
        return false;
      }
  } catch (const std::system_error& e) {
    why = e.what();
    return false;
  }
}

Process::Process(Command command)
    : command_(std::move(command)), started_(Clock::now()), last_progress_(started_) {
  fs::create_directories(command_.output);
  // A process in a container is the first one of its own; here it has a number like any other.
  const unsigned long flags =
      SIGCHLD | (command_.container ? CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWNS : 0UL);
  pid_ = static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, nullptr, nullptr, nullptr));
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "cannot start a process");
  if (pid_ == 0) become(command_);
}

Process::~Process() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::optional<Ending> Process::poll() {
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return {};
  pid_ = -1;
  Ending ending;
  if (WIFSIGNALED(status))
    ending.signal = WTERMSIG(status);
  else
    ending.exit_code = WEXITSTATUS(status);
  ending.out = test::slurp(command_.output / "stdout");
  ending.err = test::slurp(command_.output / "stderr");
  return ending;
}

void Process::send(int signal) {
  if (signal == SIGSTOP) stopped_ = true;
  if (signal == SIGCONT) {
    stopped_ = false;
    last_progress_ = Clock::now();
  }
  ::kill(pid_, signal);
}

std::chrono::duration<double> Process::idle() {
  const Clock::time_point now = Clock::now();
  if (const std::uint64_t t = ticks(); stopped_ || t != seen_ticks_) {
    seen_ticks_ = t;
    last_progress_ = now;
  }
  return now - last_progress_;
}

std::uint64_t Process::ticks() const {
  const std::string text = test::slurp("/proc/" + std::to_string(pid_) + "/stat");
  // The name of the program, in brackets, may hold anything; utime and stime are fields 14 and 15.
  const std::size_t at = text.rfind(')');
  if (at == std::string::npos) return 0;
  std::istringstream fields(text.substr(at + 2));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  std::uint64_t user = 0, system = 0;
  fields >> user >> system;
  return user + system;
}

std::string Process::state() const {
  std::ostringstream out;
  const fs::path folder = fs::path("/proc") / std::to_string(pid_);
  std::error_code none;
  for (const auto& thread : fs::directory_iterator(folder / "task", none)) {
    out << thread.path().filename().string() << ' ' << test::slurp(thread.path() / "wchan") << ' '
        << test::slurp(thread.path() / "syscall");
  }
  for (const auto& file : fs::directory_iterator(folder / "fd", none))
    out << file.path().filename().string() << " -> " << fs::read_symlink(file.path(), none).string() << '\n';
  return out.str() + test::slurp("/proc/locks");
}

}  // namespace graft::siege
