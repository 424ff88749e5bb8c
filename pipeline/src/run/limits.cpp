#include "run/limits.h"

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>

#include "plugin/address_space.h"

namespace graft {
namespace {

/// Threads that a run has beside its workers: progress, deadline, the writers of tables.
constexpr int kOwnThreads = 6;
/// What a run takes beside libraries and their buffers, at least: a second arena of malloc, stacks of its own
/// threads, data.
constexpr std::uint64_t kBaseBytes = 192ULL << 20;
constexpr std::uint64_t kStackBytes = 8ULL << 20;

/// Starts as many threads as the run will have, all at once, and ends them again.
void require_threads(int threads) {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::vector<std::thread> started;
  std::string why;
  try {
    for (int i = 0; i < threads + kOwnThreads; ++i)
      started.emplace_back([&] {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return done; });
      });
  } catch (const std::system_error& e) {
    why = e.code().message();
  }
  {
    const std::lock_guard lock(mutex);
    done = true;
  }
  changed.notify_all();
  for (std::thread& thread : started) thread.join();
  if (!why.empty())
    throw Error(fmt::format("only {} of {} threads can be started: {}; raise {}, or lower run.threads",
                            started.size(), threads + kOwnThreads, why,
                            is_address_space_limited() ? "ulimit -u or ulimit -v" : "ulimit -u"));
}

void require_address_space(const Plan& plan, const Registry& registry) {
  if (!is_address_space_limited()) return;
  std::vector<std::filesystem::path> files;
  const auto add = [&](const std::string& plugin) {
    if (const Registry::Plugin* found = registry.find(plugin)) files.push_back(found->path);
  };
  for (const StagePlan& stage : plan.stages) {
    add(stage.schema.name);
    for (const StagePlan::Service& service : stage.services) add(service.plugin);
  }
  const LibraryNeed need = need_of(files);
  const auto threads = static_cast<std::uint64_t>(plan.run.threads);
  const std::uint64_t bytes =
      need.bytes + threads * ((need.has_blas ? kBlasBufferBytes : 0) + kStackBytes) + kBaseBytes;
  const std::uint64_t left = address_space_left();
  if (bytes <= left) return;
  throw Error(
      fmt::format("not enough address space{}: {} threads need {} MiB, and {} MiB are left of the {} MiB "
                  "that ulimit -v allows; raise ulimit -v or lower run.threads",
                  need.has_blas ? fmt::format(" for OpenBLAS ({} MiB a thread)", kBlasBufferBytes >> 20) : "",
                  threads, bytes >> 20, left >> 20, address_space_limit() >> 20));
}

}  // namespace

void require_limits(const Plan& plan, const Registry& registry) {
  require_address_space(plan, registry);
  require_threads(plan.run.threads);
}

}  // namespace graft
