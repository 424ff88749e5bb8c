#include "graph/admission.h"

#include <algorithm>

#include <graft/scratch.h>

#include "base/assert.h"
#include "graph/message.h"

namespace graft {

Admission::Admission(std::size_t items, std::size_t floor, std::size_t memory,
                     std::function<void(int)> give_back, std::function<void()> drained)
    : items_(items),
      floor_(std::min(items, std::max<std::size_t>(floor, 1))),
      memory_(memory),
      chunk_(std::max<std::size_t>(1, std::min<std::size_t>(16, (items - floor_) / 4))),
      give_back_(std::move(give_back)),
      drained_(std::move(drained)) {
  limit_scratch(memory);
}

void Admission::admit() {
  references_.fetch_add(1, std::memory_order_relaxed);
  active_.fetch_add(1, std::memory_order_relaxed);
}

void Admission::end() {
  drop_reference();
}

void Admission::drop_reference() {
  const std::size_t before = references_.fetch_sub(1, std::memory_order_acq_rel);
  GRAFT_ASSERT(before > 0);
  if (before != 1) return;
  // Every item that was admitted has been released, with the memory that it was charged.
  GRAFT_ASSERT(active_ == 0 && bytes_ == 0);
  drained_();
}

std::size_t Admission::allowed() const {
  const std::size_t largest = largest_.load(std::memory_order_relaxed);
  if (largest == 0) return items_;
  return std::clamp(memory_ / largest, floor_, items_);
}

void Admission::change_bytes(std::size_t before, std::size_t after) {
  const std::size_t now = bytes_.fetch_add(after - before, std::memory_order_relaxed) + after - before;
  for (std::size_t seen = peak_bytes_.load(std::memory_order_relaxed);
       now > seen && !peak_bytes_.compare_exchange_weak(seen, now, std::memory_order_relaxed);) {
  }
  for (std::size_t seen = largest_.load(std::memory_order_relaxed);
       after > seen && !largest_.compare_exchange_weak(seen, after, std::memory_order_relaxed);) {
  }
}

void Admission::release(std::size_t bytes) {
  if (bytes != 0) change_bytes(bytes, 0);
  // In this order, and before looking: of several threads that release at once, the last to get here sees all
  // the held credits and none of the items that are going, so one of them hands the credits out.
  held_.fetch_add(1);
  [[maybe_unused]] const std::size_t active = active_.fetch_sub(1);
  GRAFT_ASSERT(active > 0);
  std::size_t held = held_.load();
  GRAFT_ASSERT(held <= items_);
  while (true) {
    // The limiter believes that active + held credits are in use; hand out so many that allowed() stay in
    // use.
    const std::size_t withhold = items_ - allowed();
    if (held <= withhold) break;
    const std::size_t give = held - withhold;
    if (give < chunk_ && active_.load() > floor_) break;
    if (held_.compare_exchange_weak(held, held - give)) {
      give_back_(static_cast<int>(give));
      break;
    }
  }
  // Last: whoever drops the last reference may let the graph go.
  drop_reference();
}

Credit::~Credit() {
  if (admission_) admission_->release(bytes_);
}

void Credit::set_bytes(std::size_t bytes) {
  if (!admission_) return;
  admission_->change_bytes(bytes_.exchange(bytes), bytes);
}

}  // namespace graft
