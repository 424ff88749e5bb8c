#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "run/signals.h"

namespace graft::cli {

/// Processors that this process may use, those of one NUMA node together.
std::vector<int> usable_processors();
/// NUMA nodes that have some of them; 1 where the system does not say.
int numa_nodes();

/// Processors of the first of the tasks that have `cpus` each.
std::vector<int> processors_of_first_task(int cpus);
/// Pins this thread, and the threads that it will start, to them. What the system refuses stays as it is.
void pin_to(const std::vector<int>& processors);

struct LocalTasks {
  std::vector<std::string> command;    ///< Without --shard.
  int tasks = 1;                       ///< Of the whole job.
  std::vector<std::uint32_t> indices;  ///< Those that are started.
  int cpus = 1;                        ///< Each is pinned to so many processors.
  std::filesystem::path logs;          ///< Their output goes to local-<index>.txt there.
};

/// What became of them.
struct LocalEnd {
  int restarts = 0;
  std::vector<std::string> failures;  ///< "shard 3/8 failed with exit code 1, see ...".
};

/// Starts the processes and waits for them. One that is killed is started again, three times at
/// most; one that fails is not. An interruption is passed on to all of them: they save what they have. They
/// end with this process, however that ends. `tick` is called every 200 ms; when it throws, or a process
/// cannot be started, all are interrupted and waited for before the exception goes on.
LocalEnd run_local_tasks(const LocalTasks& tasks, const Signals& signals, const std::function<void()>& tick);

}  // namespace graft::cli
