#include <graft/scratch.h>

#include <atomic>
#include <limits>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace graft {
namespace {

/// Whatever the order of the threads, what they hold at once is counted; no test of time.
class ScratchMemory : public ::testing::Test {
 protected:
  ~ScratchMemory() override { limit_scratch(std::numeric_limits<std::uint64_t>::max()); }

  /// The most that any of `threads` saw to be held, each taking `bytes` many times.
  static std::uint64_t most(int threads, std::uint64_t bytes) {
    std::atomic<std::uint64_t> held{0}, most{0};
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t)
      all.emplace_back([&] {
        for (int i = 0; i < 2000; ++i) {
          const Scratch scratch(bytes);
          const std::uint64_t now = held += bytes;
          for (std::uint64_t seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
          }
          held -= bytes;
        }
      });
    for (std::thread& thread : all) thread.join();
    return most;
  }
};

TEST_F(ScratchMemory, ThreadsTogetherStayBelowTheLimit) {
  limit_scratch(100);
  EXPECT_LE(most(4, 40), 80u);
}

TEST_F(ScratchMemory, WhatIsLargerThanTheLimitIsLetThroughAlone) {
  limit_scratch(100);
  EXPECT_EQ(most(4, 1000), 1000u);
}

}  // namespace
}  // namespace graft
