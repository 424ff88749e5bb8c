#include "awaited_program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/system_error.h>

namespace graft::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kUntilTerm{30}, kUntilKill{40};

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

pid_t spawn(const AwaitedProgram& program, int out) {
  std::vector<std::string> words = program.words, variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    if (!program.hidden || !program.hidden(text.substr(0, text.find('=')))) variables.emplace_back(text);
  }
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (out >= 0) ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  pid_t pid = -1;
  const int failed = ::posix_spawnp(&pid, words[0].c_str(), &actions, &attributes, pointers(words).data(),
                                    pointers(variables).data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw Error(fmt::format("cannot start {}: {}", words[0], system_error_text(failed)));
  return pid;
}

std::string content(std::FILE* file) {
  std::string out;
  std::rewind(file);
  char buffer[4096];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) out.append(buffer, n);
  return out;
}

}  // namespace

AwaitedEnd run_awaited(const AwaitedProgram& program, const Signals& signals) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(nullptr, std::fclose);
  if (program.reads_output) {
    out.reset(std::tmpfile());
    if (!out) throw Error("cannot create a temporary file: " + system_error_text(errno));
  }
  std::fflush(nullptr);
  const pid_t pid = spawn(program, out ? ::fileno(out.get()) : -1);
  int status = 0, told = 0;
  Clock::time_point since;
  for (pid_t ended = 0; (ended = ::waitpid(pid, &status, WNOHANG)) != pid;) {
    if (ended < 0 && errno != EINTR)
      throw Error("the end of a process is not known: " + system_error_text(errno));
    if (signals.interrupted()) {
      if (told == 0) {
        told = 1;
        since = Clock::now();
        if (program.interrupt) program.interrupt(pid);
      }
      const auto waited = Clock::now() - since;
      if (told == 1 && (!program.interrupt || waited > kUntilTerm)) {
        told = 2;
        ::kill(pid, SIGTERM);
      } else if (told == 2 && waited > kUntilKill) {
        told = 3;
        ::kill(pid, SIGKILL);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), out ? content(out.get()) : ""};
}

}  // namespace graft::cli
