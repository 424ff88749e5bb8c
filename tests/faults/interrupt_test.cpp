// Signals in mid-run: what was finished stays, the exit code says so, and the next run ends as if nothing had
// been.

#include <signal.h>

#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"
#include "sanitizers.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr const char* kLong = R"(name: long
run: {threads: 2}
stages:
  images: {plugin: synthetic, with: {task: target, size: 64, train: 3000, val: 500, test: 500}}
  more: {plugin: augment, from: images, with: {views: 2, operations: [{random_resized_crop: {size: 24}}]}}
  rows: {plugin: pixel_table, from: more}
  knn: {plugin: knn, from: rows}
  report: {plugin: evaluate, from: knn}
)";

class InterruptTest : public ::testing::Test {
 protected:
  pid_t start(const std::string& out, const std::string& store) {
    const auto path = folder_.write("config.yaml", kLong);
    return start_program(folder_, {"run", path, "--out", folder_ / out, "--store", folder_ / store});
  }
  std::uintmax_t log_bytes(const std::string& store) const {
    std::uintmax_t bytes = 0;
    std::error_code error;
    for (std::filesystem::recursive_directory_iterator it(folder_ / store / "tables", error), end;
         !error && it != end; it.increment(error))
      if (it->path().extension() == ".rows") bytes += it->file_size(error);
    return bytes;
  }
  /// Waits until some rows are in the log; false when the run ended before.
  bool wait_for_rows(pid_t pid, const std::string& store, std::uintmax_t bytes) const {
    const auto deadline = Clock::now() + std::chrono::seconds(60);
    while (Clock::now() < deadline) {
      if (log_bytes(store) > bytes) return true;
      siginfo_t info{};
      if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
          info.si_pid == pid)
        return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }
  /// Waits until the program has said something; false when it ended before.
  bool wait_for_text(pid_t pid, const char* text) const {
    for (;; std::this_thread::sleep_for(std::chrono::milliseconds(2))) {
      if (slurp(folder_ / "stderr").find(text) != std::string::npos) return true;
      siginfo_t info{};
      if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
          info.si_pid == pid)
        return false;
    }
  }
  json results(const std::string& out) const {
    json r = json::parse(slurp(folder_ / out / "results.json"));
    r.erase("timings");
    return r;
  }
  TempFolder folder_;
};

TEST_F(InterruptTest, TheFirstSignalDrainsAndTheNextRunGoesOn) {
  ::signal(SIGHUP, SIG_DFL);  // Whoever runs the tests may ignore it.
  wait_for(folder_, start("whole", "s0"));
  json expected = results("whole");
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const std::string store = "s" + std::to_string(signal);
    const pid_t pid = start("r", store);
    ASSERT_TRUE(wait_for_rows(pid, store, 1 << 19));
    const auto before = Clock::now();
    ::kill(pid, signal);
    const ProgramResult cut = wait_for(folder_, pid);
    EXPECT_LT(Clock::now() - before, std::chrono::seconds(6));
    EXPECT_EQ(cut.exit_code, 128 + signal);
    EXPECT_THAT(cut.out, HasSubstr("rows are saved\nresume with: "));
    const ProgramResult rest = wait_for(folder_, start("r", store));
    EXPECT_EQ(rest.exit_code, 0) << rest.err;
    json got = results("r");
    const auto table = got["tables"]["rows"];
    EXPECT_GT(table["reused"], 0);
    EXPECT_LT(table["computed"], 8000);
    EXPECT_EQ(table["rows"], 8000);
    got.erase("tables");
    json wanted = expected;
    wanted.erase("tables");
    EXPECT_EQ(got, wanted);
    EXPECT_EQ(slurp(folder_ / "r/predictions/knn.csv"), slurp(folder_ / "whole/predictions/knn.csv"));
  }
}

TEST_F(InterruptTest, ARunUnderNohupOutlivesItsTerminal) {
  ::signal(SIGHUP, SIG_IGN);
  const pid_t pid = start("r", "s");
  ::signal(SIGHUP, SIG_DFL);
  ASSERT_TRUE(wait_for_rows(pid, "s", 0));
  ::kill(pid, SIGHUP);
  EXPECT_EQ(wait_for(folder_, pid).exit_code, 0);
}

TEST_F(InterruptTest, AKillAtAnyMomentLosesNothingThatWasCommitted) {
  wait_for(folder_, start("whole", "s0"));
  const std::string expected = slurp(folder_ / "whole/predictions/knn.csv");
  std::uintmax_t kills = 0;
  for (int i = 0; i < 8; ++i) {
    const pid_t pid = start("r", "s");
    if (!wait_for_rows(pid, "s", static_cast<std::uintmax_t>(i) << 18)) {
      wait_for(folder_, pid);
      break;
    }
    ::kill(pid, SIGKILL);
    wait_for(folder_, pid);
    ++kills;
  }
  EXPECT_GT(kills, 0u);
  const ProgramResult rest = wait_for(folder_, start("r", "s"));
  EXPECT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_EQ(results("r")["tables"]["rows"]["rows"], 8000);
  EXPECT_EQ(slurp(folder_ / "r/predictions/knn.csv"), expected);
}

TEST_F(InterruptTest, ASnapshotOnRequestNamesTheStages) {
  const pid_t pid = start("r", "s");
  ASSERT_TRUE(wait_for_rows(pid, "s", 1 << 19));
  ::kill(pid, SIGUSR1);
  EXPECT_TRUE(wait_for_text(pid, "finished"));
  ::kill(pid, SIGINT);
  const ProgramResult r = wait_for(folder_, pid);
  EXPECT_THAT(r.err, ::testing::ContainsRegex("stage +running +queued +finished +rejected"));
  EXPECT_THAT(r.err, ::testing::ContainsRegex("\n  images +[0-9]+ +[0-9]+ +[0-9]+"));
}

// 100 images; from the 50th on, each takes `seconds`.
std::string slow(double seconds) {
  return "name: slow\nrun: {threads: 2, stall_seconds: 0.2, stall_limit: never}\nstages:\n"
         "  images: {plugin: synthetic, with: {task: target, size: 24, train: 100, val: 0, test: 0}}\n"
         "  wait: {plugin: sleepy, from: images, with: {seconds: " +
         std::to_string(seconds) +
         ", from_key: target/train/000050}}\n"
         "  rows: {plugin: pixel_table, from: wait}\n";
}

// What the watchdog says of it then.
constexpr const char* kFiftyFinished = "\n  wait           2        0         50 ";

TEST_F(InterruptTest, TheWatchdogSaysWhichStageHangs) {
  const auto path = folder_.write("config.yaml", slow(0.7));
  const pid_t pid =
      start_program(folder_, {"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out", folder_ / "r",
                              "--store", folder_ / "s", "--set", "images.train=52"});
  const ProgramResult r = wait_for(folder_, pid);
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.err, HasSubstr("nothing has finished for 0.2 s:\n"));
  EXPECT_THAT(r.err, ::testing::ContainsRegex("\n  wait +2 +0 +50 +0 "));
}

TEST_F(InterruptTest, AStageThatDoesNotReturnCannotHoldUpTheExit) {
  const auto path = folder_.write("config.yaml", slow(600));
  const std::vector<std::string> arguments{"run",   path,          "--plugin-dir", GRAFT_TEST_PLUGINS,
                                           "--out", folder_ / "r", "--store",      folder_ / "s"};
  const pid_t pid = start_program(folder_, arguments);
  ASSERT_TRUE(wait_for_text(pid, kFiftyFinished));
  const auto before = Clock::now();
  ::kill(pid, SIGINT);
  const ProgramResult r = wait_for(folder_, pid);
  EXPECT_EQ(r.exit_code, 130);
  EXPECT_LT(Clock::now() - before, std::chrono::milliseconds(kSanitized ? 20'000 : 5500));
  EXPECT_THAT(r.err,
              HasSubstr("still computing after 4 s\nwhat was finished is saved\nwhat the run had is in " +
                        (folder_ / "r.interrupted").string() + "\nresume with: "));
  // The fifty that were finished are not computed again.
  const auto quick = folder_.write("quick.yaml", slow(0));
  const ProgramResult rest =
      wait_for(folder_, start_program(folder_, {"run", quick, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out",
                                                folder_ / "r", "--store", folder_ / "s"}));
  EXPECT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_EQ(results("r")["tables"]["rows"], (json{{"rows", 100}, {"computed", 50}, {"reused", 50}}));
}

TEST_F(InterruptTest, TheSecondSignalLeavesAtOnce) {
  const auto path = folder_.write("config.yaml", slow(600));
  const pid_t pid = start_program(folder_, {"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out",
                                            folder_ / "r", "--store", folder_ / "s"});
  ASSERT_TRUE(wait_for_text(pid, kFiftyFinished));
  const auto before = Clock::now();
  ::kill(pid, SIGTERM);
  ASSERT_TRUE(wait_for_text(pid, "again: leave at once"));
  ::kill(pid, SIGTERM);
  EXPECT_EQ(wait_for(folder_, pid).exit_code, 143);
  EXPECT_LT(Clock::now() - before, std::chrono::seconds(kSanitized ? 20 : 2));
}

}  // namespace
}  // namespace graft::test
