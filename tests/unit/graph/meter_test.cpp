#include "graph/meter.h"

#include <gtest/gtest.h>

namespace graft {
namespace {

TEST(Meter, CountsHowLongItemsHaveWaited) {
  Meter meter(2);
  const auto at = [start = Meter::Clock::now()](int us) { return start + std::chrono::microseconds(us); };
  meter.enter(1, at(0));
  meter.enter(1, at(2));
  EXPECT_EQ(meter.counts(1).queued(), 2U);
  EXPECT_EQ(meter.counts(1).waited_ns(), 0U) << "not known while items wait";
  meter.start(1, 2, at(5));
  EXPECT_EQ(meter.counts(1).queued(), 0U);
  EXPECT_EQ(meter.counts(1).running(), 2U);
  EXPECT_EQ(meter.counts(1).waited_ns(), 8'000U);
  meter.enter_and_start(0);
  EXPECT_EQ(meter.counts(0).waited_ns(), 0U);
}

}  // namespace
}  // namespace graft
