#include "graph/trace.h"

#include <algorithm>

namespace graft {
namespace {

constexpr std::size_t kSpansAtOnce = 1024, kItemsAtOnce = 4096;

}  // namespace

/// Memory grows by whole blocks, which never move: the time of a span is not that of copying others.
struct Trace::Thread {
  std::deque<std::vector<Span>> spans;
  std::deque<std::vector<std::uint64_t>> items;
  std::uint64_t left_out = 0;
};

Trace::Trace(std::size_t memory)
    : id_([] {
        static std::atomic<std::uint64_t> next{1};
        return next.fetch_add(1);
      }()),
      left_(static_cast<std::int64_t>(memory)) {
  mine();
}

Trace::~Trace() = default;

Trace::Thread& Trace::mine() {
  struct Known {
    std::uint64_t trace = 0;
    Thread* thread = nullptr;
  };
  thread_local Known known;
  if (known.trace != id_) {
    const std::lock_guard lock(mutex_);
    threads_.push_back(std::make_unique<Thread>());
    known = {id_, threads_.back().get()};
  }
  return *known.thread;
}

bool Trace::take(std::size_t bytes) {
  const auto wanted = static_cast<std::int64_t>(bytes);
  if (left_.fetch_sub(wanted, std::memory_order_relaxed) >= wanted) return true;
  left_.fetch_add(wanted, std::memory_order_relaxed);
  return false;
}

void Trace::add(Thread& thread, const Span& span) {
  if (thread.spans.empty() || thread.spans.back().size() == kSpansAtOnce) {
    if (!take(kSpansAtOnce * sizeof(Span))) {
      ++thread.left_out;
      return;
    }
    thread.spans.emplace_back().reserve(kSpansAtOnce);
  }
  thread.spans.back().push_back(span);
}

void Trace::add_item(std::size_t stage, Clock::time_point begin, Clock::time_point end, std::uint64_t item,
                     std::uint32_t view, bool rejected) {
  add(mine(), {since_start(begin), since_start(end), item, view, 1, static_cast<std::uint16_t>(stage), false,
               rejected});
}

void Trace::add_stage(std::size_t stage, Clock::time_point begin, Clock::time_point end) {
  add(mine(), {since_start(begin), since_start(end), 0, 0, 0, static_cast<std::uint16_t>(stage)});
}

void Trace::add_batch(std::size_t stage, Clock::time_point begin, Clock::time_point end,
                      std::span<const std::uint64_t> items) {
  Thread& thread = mine();
  if (thread.items.empty() || thread.items.back().capacity() - thread.items.back().size() < items.size()) {
    const std::size_t wanted = std::max(kItemsAtOnce, items.size());
    if (!take(wanted * sizeof(std::uint64_t))) {
      ++thread.left_out;
      return;
    }
    thread.items.emplace_back().reserve(wanted);
  }
  std::vector<std::uint64_t>& block = thread.items.back();
  const std::uint64_t at = (thread.items.size() - 1) << 32U | block.size();
  block.insert(block.end(), items.begin(), items.end());
  add(thread, {since_start(begin), since_start(end), at, 0, static_cast<std::uint32_t>(items.size()),
               static_cast<std::uint16_t>(stage), true});
}

void Trace::for_each(
    std::size_t thread,
    const std::function<void(const Span& span, std::span<const std::uint64_t> items)>& visit) const {
  const Thread& of = *threads_[thread];
  for (const std::vector<Span>& block : of.spans)
    for (const Span& span : block)
      visit(span, span.batch
                      ? std::span(of.items[span.item >> 32U]).subspan(span.item & 0xFFFF'FFFFU, span.items)
                      : std::span<const std::uint64_t>());
}

std::uint64_t Trace::left_out() const {
  std::uint64_t sum = 0;
  for (const auto& thread : threads_) sum += thread->left_out;
  return sum;
}

}  // namespace graft
