#include <graft/subprocess.h>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/system_error.h>

#include "base/files.h"

extern char** environ;

namespace graft {
namespace {

struct Pipe {
  FileHandle read, write;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Error("cannot make a pipe: " + system_error_text(errno));
  return {FileHandle(ends[0]), FileHandle(ends[1])};
}

}  // namespace

ProgramEnd run_to_end(const std::vector<std::string>& words, ErrorOutput errors) {
  std::array<Pipe, 2> pipes{make_pipe(), make_pipe()};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, pipes[0].write.get(), STDOUT_FILENO);
  if (errors == ErrorOutput::Read)
    ::posix_spawn_file_actions_adddup2(&actions, pipes[1].write.get(), STDERR_FILENO);
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t pid = -1;
  const int failed = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw Error(fmt::format("cannot start {}: {}", words[0], system_error_text(failed)));
  ProgramEnd end;
  std::array<std::string*, 2> texts{&end.out, &end.err};
  std::array<pollfd, 2> open{};
  for (std::size_t i = 0; i < 2; ++i) {
    pipes[i].write = FileHandle();
    open[i] = {pipes[i].read.get(), POLLIN, 0};
  }
  while (open[0].fd >= 0 || open[1].fd >= 0) {
    if (::poll(open.data(), open.size(), -1) < 0 && errno != EINTR) break;
    for (std::size_t i = 0; i < 2; ++i) {
      if (open[i].fd < 0 || open[i].revents == 0) continue;
      std::array<char, 4096> buffer;
      const ssize_t n = ::read(open[i].fd, buffer.data(), buffer.size());
      if (n > 0)
        texts[i]->append(buffer.data(), static_cast<std::size_t>(n));
      else if (n == 0 || errno != EINTR)
        open[i].fd = -1;
    }
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return end;
}

}  // namespace graft
