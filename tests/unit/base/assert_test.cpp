// Compiled on its own, with assertions on in every build.
#if !defined(GRAFT_ASSERTIONS)
#define GRAFT_ASSERTIONS
#endif
#include "base/assert.h"

#include <csignal>

#include <gtest/gtest.h>

namespace graft {
namespace {

TEST(AssertDeathTest, NamesPlaceAndConditionAndAborts) {
  const int rows = 3;
  GRAFT_ASSERT(rows == 3);
  const auto fails = [&] { GRAFT_ASSERT(rows + 1 == 3); };
  EXPECT_EXIT(fails(), ::testing::KilledBySignal(SIGABRT),
              "assert_test.cpp:17: assertion failed: rows \\+ 1 == 3\n$");
}

}  // namespace
}  // namespace graft
