#include "line_reader.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <thread>

namespace {

/// The standard input is the reading end of a pipe for as long as this lives.
class PipedInput {
 public:
  PipedInput() : before_(::dup(STDIN_FILENO)) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    ::dup2(ends[0], STDIN_FILENO);
    ::close(ends[0]);
    writing_ = ends[1];
  }
  ~PipedInput() {
    ::close(writing_);
    ::dup2(before_, STDIN_FILENO);
    ::close(before_);
  }
  PipedInput(const PipedInput&) = delete;
  PipedInput& operator=(const PipedInput&) = delete;

  int writing() const { return writing_; }

 private:
  const int before_;
  int writing_ = -1;
};

TEST(LineReader, ASignalDuringTheWaitDoesNotEndTheLooks) {
  struct sigaction ignored {
  }, before{};
  ignored.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGUSR2, &ignored, &before), 0);
  const PipedInput input;
  ASSERT_EQ(::write(input.writing(), "one\n", 4), 4);
  std::atomic<bool> first{false}, wanted{true};
  std::atomic<int> looks{0};
  std::thread thread([&] {
    LineReader lines([&] {
      ++looks;
      return wanted.load();
    });
    EXPECT_EQ(lines.next(), "one");
    first = true;
    EXPECT_EQ(lines.next(), std::nullopt);
  });
  while (!first) std::this_thread::yield();
  // Far more often than the reader looks of its own accord: it is a signal that ends the wait.
  while (looks < 5) {
    ::pthread_kill(thread.native_handle(), SIGUSR2);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  wanted = false;
  thread.join();
  ::sigaction(SIGUSR2, &before, nullptr);
}

TEST(LineReader, LinesThatComeLaterAreRead) {
  const PipedInput input;
  int looks = 0;
  LineReader lines([&] {
    if (++looks == 1) {
      EXPECT_EQ(::write(input.writing(), "late\n", 5), 5);
    }
    return looks < 3;
  });
  EXPECT_EQ(lines.next(), "late");
  EXPECT_EQ(lines.next(), std::nullopt);
  EXPECT_EQ(looks, 3);
}

}  // namespace
