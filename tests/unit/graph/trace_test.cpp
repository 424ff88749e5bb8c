#include "graph/trace.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace graft {
namespace {

using ::testing::ElementsAre;

TEST(Trace, KeepsTheSpansOfEachThreadApart) {
  Trace trace;
  const auto at = [start = Trace::Clock::now()](int us) { return start + std::chrono::microseconds(us); };
  trace.add_stage(7, at(0), at(9));
  std::thread([&] {
    trace.add_item(1, at(1), at(2), 42, 3, true);
    trace.add_batch(2, at(3), at(5), std::vector<std::uint64_t>{5, 8, 13});
    trace.add_batch(2, at(6), at(7), std::vector<std::uint64_t>{21});
  }).join();
  ASSERT_EQ(trace.threads(), 2U);
  std::vector<std::pair<int, std::vector<std::uint64_t>>> seen;
  const auto visit = [&](const Trace::Span& span, std::span<const std::uint64_t> items) {
    EXPECT_GT(span.end_ns, span.begin_ns);
    seen.emplace_back(span.stage, std::vector(items.begin(), items.end()));
    if (span.stage == 1) {
      EXPECT_EQ(span.item, 42U);
      EXPECT_EQ(span.view, 3U);
      EXPECT_TRUE(span.rejected);
    }
  };
  trace.for_each(0, visit);
  EXPECT_EQ(seen.size(), 1U);
  trace.for_each(1, visit);
  EXPECT_EQ(seen[2].second, (std::vector<std::uint64_t>{5, 8, 13}));
  EXPECT_EQ(seen[3].second, (std::vector<std::uint64_t>{21}));
  EXPECT_EQ(trace.left_out(), 0U);
}

TEST(Trace, KeepsTheFirstSpansWhereMemoryEndsAndCountsTheOthers) {
  Trace trace(100'000);
  const auto now = Trace::Clock::now();
  constexpr std::uint64_t kAll = 10'000;
  for (std::uint64_t i = 0; i < kAll; ++i) trace.add_item(0, now, now, i, 0, false);
  std::uint64_t kept = 0;
  trace.for_each(0, [&](const Trace::Span& span, std::span<const std::uint64_t>) {
    EXPECT_EQ(span.item, kept);
    ++kept;
  });
  EXPECT_GT(kept, 0U);
  EXPECT_LE(kept * sizeof(Trace::Span), 100'000U);
  EXPECT_EQ(kept + trace.left_out(), kAll);
  // A batch whose list has no room is left out whole.
  trace.add_batch(0, now, now, std::vector<std::uint64_t>(50'000));
  EXPECT_EQ(kept + trace.left_out(), kAll + 1);
}

}  // namespace
}  // namespace graft
