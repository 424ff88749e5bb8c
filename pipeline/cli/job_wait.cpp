#include "job_wait.h"

#include <chrono>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <graft/text.h>

#include "output.h"
#include "run/job_status.h"

namespace graft::cli {
namespace {

/// The workers of others that are at their slots, as "the worker of shard 0/2 on n1 (process 17)".
std::vector<std::string> workers_at_work(const JobStatus& job) {
  std::vector<std::string> out;
  for (const JobStatus::Worker& w : job.workers)
    if (w.outlook.state == WorkerOutlook::State::Running)
      out.push_back(fmt::format("the worker of shard {} on {} (process {})", w.record.shard.text(),
                                w.record.host, w.record.pid));
  return out;
}

}  // namespace

bool wait_for_workers(const std::filesystem::path& store, const std::string& name, LogLevel level,
                      const Signals& signals, const std::function<void()>& show) {
  std::vector<std::string> known;
  for (bool waited = false;; waited = true) {
    const std::vector<std::string> others = workers_at_work(job_status(store, name));
    if (others.empty()) return waited;
    if (others != known && level >= LogLevel::Info)
      print_error("waiting for {}\n", printable(joined(others)));
    known = others;
    for (int i = 0; i < 5 && !signals.interrupted(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (show) show();
    }
    if (signals.interrupted()) return waited;
  }
}

}  // namespace graft::cli
