#include <graft/scratch.h>

#include <algorithm>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <utility>

#include "base/scratch_use.h"

namespace graft {
namespace {

struct Holders {
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t limit = std::numeric_limits<std::uint64_t>::max(), held = 0, most_held = 0;
};

Holders& holders() {
  static auto* const kAll = new Holders;  // not destroyed at exit, when threads may still hold some
  return *kAll;
}

}  // namespace

Scratch::Scratch(std::uint64_t bytes) : bytes_(bytes) {
  Holders& all = holders();
  std::unique_lock lock(all.mutex);
  all.changed.wait(lock,
                   [&] { return all.held == 0 || (all.held <= all.limit && bytes <= all.limit - all.held); });
  all.held += bytes;
  all.most_held = std::max(all.most_held, all.held);
}

Scratch::~Scratch() {
  Holders& all = holders();
  {
    const std::lock_guard lock(all.mutex);
    all.held -= bytes_;
  }
  all.changed.notify_all();
}

void limit_scratch(std::uint64_t bytes) {
  Holders& all = holders();
  {
    const std::lock_guard lock(all.mutex);
    all.limit = bytes;
  }
  all.changed.notify_all();
}

std::uint64_t take_most_scratch() {
  Holders& all = holders();
  const std::lock_guard lock(all.mutex);
  return std::exchange(all.most_held, all.held);
}

}  // namespace graft
