#include "cli/recent.h"

#include <stdexcept>

#include <gtest/gtest.h>

namespace graft::cli {
namespace {

using namespace std::chrono_literals;

TEST(Recent, IsMadeOncePerAgeHoweverManyAsk) {
  Recent<int> recent(100ms);
  const Recent<int>::Clock::time_point start{};
  int made = 0;
  const auto at = [&](std::chrono::milliseconds time) {
    return *recent.get(start + time, [&] { return ++made; });
  };
  EXPECT_EQ(at(5ms), 1);
  EXPECT_EQ(at(5ms), 1);
  EXPECT_EQ(at(104ms), 1);
  EXPECT_EQ(at(105ms), 2);
  EXPECT_EQ(at(204ms), 2);
  EXPECT_EQ(at(1000ms), 3);
  EXPECT_EQ(made, 3);
}

TEST(Recent, KeepsWhatWasGivenAndTriesAgainAfterAFailure) {
  Recent<int> recent(100ms);
  const Recent<int>::Clock::time_point start{};
  const auto first = recent.get(start, [] { return 1; });
  EXPECT_THROW(recent.get(start + 1s, []() -> int { throw std::runtime_error("no"); }), std::runtime_error);
  EXPECT_EQ(*recent.get(start + 1s, [] { return 2; }), 2);
  EXPECT_EQ(*first, 1);
}

}  // namespace
}  // namespace graft::cli
