#include "graph/batcher.h"

#include "base/assert.h"

namespace graft {

Batcher::Ready Batcher::add(Handle message) {
  Ready ready;
  const std::uint64_t order = message->order;
  [[maybe_unused]] const bool is_new = early_.emplace(order, std::move(message)).second;
  GRAFT_ASSERT(is_new && order >= next_);  // positions are dense: each comes once
  for (auto it = early_.begin(); it != early_.end() && it->first == next_; it = early_.erase(it), ++next_) {
    Handle& turn = it->second;
    const bool end = turn->state == Message::State::End;
    if (turn->state == Message::State::Live && takes_(*turn)) {
      open_.push_back(std::move(turn));
    } else {
      ready.passed.push_back(std::move(turn));
    }
    if (open_.size() == size_ || (end && !open_.empty())) {
      ready.batches.push_back(std::make_shared<const Batch>(std::move(open_)));
      open_.clear();
      open_.reserve(size_);
    }
    GRAFT_ASSERT(!end || (early_.size() == 1 && open_.empty()));  // nothing comes after the end
  }
  return ready;
}

}  // namespace graft
