#include "local_tasks.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <map>
#include <set>
#include <thread>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/system_error.h>

#include "base/files.h"

namespace graft::cli {
namespace {

constexpr int kMostRestarts = 3;

std::vector<int> allowed_processors() {
  cpu_set_t set;
  std::vector<int> out;
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) out.push_back(cpu);
  if (out.empty()) out.push_back(0);
  return out;
}

/// The NUMA node of every processor; none where the system does not say. Numbers of a node need not follow
/// each other: with two sockets, one often has the even ones.
std::map<int, int> node_of_processors() {
  namespace fs = std::filesystem;
  std::map<int, int> out;
  std::error_code error;
  for (fs::directory_iterator it("/sys/devices/system/node", error), end; !error && it != end;
       it.increment(error)) {
    int node = 0, used = 0;
    const std::string name = it->path().filename().string();
    if (std::sscanf(name.c_str(), "node%d%n", &node, &used) != 1 || used != static_cast<int>(name.size()))
      continue;
    for (fs::directory_iterator cpu(it->path(), error), none; !error && cpu != none; cpu.increment(error)) {
      int number = 0;
      const std::string link = cpu->path().filename().string();
      if (std::sscanf(link.c_str(), "cpu%d%n", &number, &used) == 1 && used == static_cast<int>(link.size()))
        out[number] = node;
    }
  }
  return out;
}

/// Processor i of task `position`: neighbours share caches and a NUMA node, and with it the memory that they
/// fill: the system takes pages from the node of the processor that first writes to them.
std::vector<int> processors_of(std::size_t position, int cpus, const std::vector<int>& usable) {
  std::vector<int> out;
  for (std::size_t k = 0; k < std::min(static_cast<std::size_t>(cpus), usable.size()); ++k)
    out.push_back(usable[(position * static_cast<std::size_t>(cpus) + k) % usable.size()]);
  return out;
}

cpu_set_t set_of(const std::vector<int>& processors) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : processors) CPU_SET(cpu, &set);
  return set;
}

struct Task {
  std::uint32_t index = 0;
  std::size_t position = 0;
  int restarts = 0;
};

/// Processes that run. Whatever ends this, none stays behind: each is interrupted, and saves what it has.
struct RunningTasks {
  RunningTasks() = default;
  RunningTasks(const RunningTasks&) = delete;
  RunningTasks& operator=(const RunningTasks&) = delete;
  ~RunningTasks() {
    interrupt();
    for (const auto& [pid, task] : by_pid)
      while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
      }
  }
  void interrupt() const {
    for (const auto& [pid, task] : by_pid) ::kill(pid, SIGTERM);
  }

  std::map<pid_t, Task> by_pid;
};

pid_t start_task(const LocalTasks& tasks, std::uint32_t index, std::size_t position,
                 const std::vector<int>& usable) {
  std::vector<std::string> words = tasks.command;
  words.insert(words.end(), {"--shard", fmt::format("{}/{}", index, tasks.tasks)});
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const std::filesystem::path log = tasks.logs / fmt::format("local-{}.txt", index);
  const FileHandle out(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!out) throw Error(file_error("create", log, errno));
  const cpu_set_t set = set_of(processors_of(position, tasks.cpus, usable));
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw Error("cannot start a process: " + system_error_text(errno));
  if (pid > 0) return pid;
  // In the child: only calls that are safe there.
  ::setpgid(0, 0);  // Ctrl-C comes through the parent, once
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(143);
  ::sched_setaffinity(0, sizeof set, &set);
  ::dup2(out.get(), STDOUT_FILENO);
  ::dup2(out.get(), STDERR_FILENO);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

}  // namespace

std::vector<int> usable_processors() {
  std::vector<int> out = allowed_processors();
  const std::map<int, int> node = node_of_processors();
  std::stable_sort(out.begin(), out.end(), [&](int a, int b) {
    const auto of = [&](int cpu) { return node.contains(cpu) ? node.at(cpu) : 0; };
    return of(a) < of(b);
  });
  return out;
}

int numa_nodes() {
  const std::map<int, int> node = node_of_processors();
  std::set<int> nodes;
  for (const int cpu : allowed_processors())
    if (const auto at = node.find(cpu); at != node.end()) nodes.insert(at->second);
  return std::max(1, static_cast<int>(nodes.size()));
}

std::vector<int> processors_of_first_task(int cpus) {
  return processors_of(0, cpus, usable_processors());
}

void pin_to(const std::vector<int>& processors) {
  const cpu_set_t set = set_of(processors);
  ::sched_setaffinity(0, sizeof set, &set);
}

LocalEnd run_local_tasks(const LocalTasks& tasks, const Signals& signals, const std::function<void()>& tick) {
  const std::vector<int> usable = usable_processors();
  RunningTasks started;
  std::map<pid_t, Task>& running = started.by_pid;
  LocalEnd end;
  for (std::size_t i = 0; i < tasks.indices.size() && !signals.interrupted(); ++i)
    running.emplace(start_task(tasks, tasks.indices[i], i, usable), Task{tasks.indices[i], i});
  bool told = false;
  while (!running.empty()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    if (signals.interrupted() && !told) {
      started.interrupt();
      told = true;
    }
    tick();
    int status = 0;
    for (auto it = running.begin(); it != running.end();) {
      const pid_t pid = ::waitpid(it->first, &status, WNOHANG);
      if (pid == 0 || (pid < 0 && errno == EINTR)) {
        ++it;
        continue;
      }
      Task task = it->second;
      it = running.erase(it);
      const std::string shard = fmt::format("shard {}/{}", task.index, tasks.tasks);
      const std::string log = (tasks.logs / fmt::format("local-{}.txt", task.index)).string();
      if (pid < 0) {
        end.failures.push_back(fmt::format("{}: its end is not known, see {}", shard, log));
      } else if (WIFSIGNALED(status) && !signals.interrupted()) {
        if (++task.restarts > kMostRestarts) {
          end.failures.push_back(fmt::format("{} was killed {} times, by signal {} at last, see {}", shard,
                                             task.restarts, WTERMSIG(status), log));
        } else {
          ++end.restarts;
          running.emplace(start_task(tasks, task.index, task.position, usable), task);
        }
      } else if (const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
                 code != 0 && !(signals.interrupted() && code == 143)) {
        end.failures.push_back(fmt::format("{} failed with exit code {}, see {}", shard, code, log));
      }
    }
  }
  return end;
}

}  // namespace graft::cli
