#include "graph/batcher.h"

namespace graft {

Batcher::Ready Batcher::add(Handle message) {
  Ready ready;
  const std::uint64_t order = message->order;
  early_.emplace(order, std::move(message));
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
  }
  return ready;
}

}  // namespace graft
