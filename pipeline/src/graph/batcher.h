#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include <graft/export.h>

#include "graph/message.h"

namespace graft {

/// Forms batches in the order of the source, whatever order messages arrive in: what a batch holds does not
/// depend on threads. Messages that are not live take no place in a batch; they are passed on at their turn.
/// Not thread-safe: lives in a serial node. Holds at most as many messages as there are credits.
class GRAFT_API Batcher {
 public:
  using Batch = std::vector<Handle>;

  /// `takes` selects the live messages that go into a batch; the others are passed on.
  Batcher(std::size_t size, std::function<bool(const Message&)> takes)
      : size_(size), takes_(std::move(takes)) {}

  struct Ready {
    std::vector<std::shared_ptr<const Batch>> batches;
    std::vector<Handle> passed;  ///< Rejected, skipped, not taken, or the end, after the last batch.
  };
  /// Takes one message; gives what became ready by it. The end message flushes the last, partly filled batch.
  Ready add(Handle message);
  /// Releases all waiting items: the run has failed, and the items before them may never arrive.
  void clear() {
    early_.clear();
    open_.clear();
  }

 private:
  std::size_t size_;
  std::function<bool(const Message&)> takes_;
  std::uint64_t next_ = 0;
  std::map<std::uint64_t, Handle> early_;  // arrived before their turn
  Batch open_;
};

}  // namespace graft
