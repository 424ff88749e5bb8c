#include "graph/batcher.h"

#include <algorithm>

#include <gtest/gtest.h>

#include <graft/random.h>

namespace graft {
namespace {

Handle message(std::uint64_t order, Message::State state = Message::State::Live) {
  auto m = std::make_shared<Message>();
  m->state = state;
  m->order = order;
  return m;
}

TEST(Batcher, BatchesAreTheSameInWhateverOrderMessagesArrive) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    const std::size_t n = random.below(50), size = 1 + random.below(7);
    std::vector<Handle> messages;
    std::vector<std::uint64_t> live;
    for (std::uint64_t i = 0; i < n; ++i) {
      const bool skip = random.chance(0.3);
      messages.push_back(message(i, skip ? Message::State::Rejected : Message::State::Live));
      if (!skip) live.push_back(i);
    }
    messages.push_back(message(n, Message::State::End));
    for (std::size_t i = messages.size(); i > 1; --i) std::swap(messages[i - 1], messages[random.below(i)]);

    Batcher batcher(size, [](const Message&) { return true; });
    std::vector<std::uint64_t> got;
    std::size_t passed = 0, batches = 0;
    for (Handle& m : messages) {
      const Batcher::Ready ready = batcher.add(std::move(m));
      for (const auto& batch : ready.batches) {
        ++batches;
        EXPECT_TRUE(batch->size() == size || batches == (live.size() + size - 1) / size);
        for (const Handle& h : *batch) got.push_back(h->order);
      }
      passed += ready.passed.size();
    }
    EXPECT_EQ(got, live) << "seed " << seed;
    EXPECT_EQ(passed, n - live.size() + 1);
  }
}

TEST(Batcher, ItemsThatTheStageDoesNotTakePassBy) {
  Batcher batcher(2, [](const Message& m) { return m.order % 2 == 0; });
  EXPECT_TRUE(batcher.add(message(0)).batches.empty());
  EXPECT_EQ(batcher.add(message(1)).passed.size(), 1u);
  EXPECT_EQ(batcher.add(message(2)).batches.size(), 1u);
}

}  // namespace
}  // namespace graft
