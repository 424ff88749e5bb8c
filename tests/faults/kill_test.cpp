// The worker and the program, killed at random moments and at every operation on a file.

#include <chrono>
#include <thread>

#include <graft/random.h>

#include "graft_run.h"
#include "store_faults.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}
void sleep_seconds(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

class KillTest : public StoreFaults {
 protected:
  KillTest() : StoreFaults(fs::temp_directory_path()) {}  // a disk: its pauses are part of the test
};

class KillPointTest : public StoreFaults {
 protected:
  /// Kills a worker that finds a copy of the store `before`, of which `committed` rows were promised, before,
  /// in and after each of its operations; `quick` points of them where trials are few.
  void kill_at_each_operation(const fs::path& before, std::uint64_t committed, std::size_t quick) {
    const Fill fill;
    const auto copy = [&](const fs::path& to) {
      if (!before.empty()) fs::copy(before, to, fs::copy_options::recursive);
    };
    copy(folder_ / "whole");
    std::vector<std::string> points;
    std::size_t n = 0;
    for (const Recorded& o : record_fill(folder_ / "whole", fill)) {
      if (o.header.operation == Operation::Say) continue;
      const std::string at = std::to_string(++n) + ":";
      points.push_back(at + "before");
      if (o.header.operation == Operation::Write) points.push_back(at + "torn");
      points.push_back(at + "after");
    }
    ASSERT_GT(points.size(), quick);
    const std::size_t stride = long_trials() ? 1 : points.size() / quick;
    for (std::size_t i = 0; i < points.size() && !HasFailure(); i += stride) {
      SCOPED_TRACE("killed at " + points[i]);
      const fs::path store = folder_ / points[i];
      copy(store);
      const WorkerResult r = run_fill(store, fill, faults(folder_.path(), {"GRAFT_FAULT_KILL=" + points[i]}));
      EXPECT_TRUE(r.killed()) << r.exit_code << r.err;
      expect_kept(store, fill, std::max(committed, r.committed));
      expect_completes(store, fill);
      fs::remove_all(store);
    }
  }
};

TEST_F(KillTest, AtRandomMomentsLosesNothing) {
  const Fill fill{.rows = 2000, .per_shard = 450, .per_commit = 20, .seed = 1};
  const Clock::time_point begin = Clock::now();
  ASSERT_EQ(run_fill(folder_ / "whole", fill).exit_code, 0);
  const double whole = seconds_since(begin);
  Random random(60);
  const int trials = fault_trials() - fault_trials() / 6;  // the others are of the program
  int kills = 0;
  for (std::uint64_t chain = 1; kills < trials && !HasFailure(); ++chain) {
    const fs::path store = folder_ / std::to_string(chain);
    std::uint64_t committed = 0;
    for (;;) {
      SCOPED_TRACE("chain " + std::to_string(chain) + ", kill " + std::to_string(kills));
      Fill paced = fill;
      paced.seed = chain * 1000 + static_cast<std::uint64_t>(kills) + 1;
      const TempFolder output;
      const pid_t pid = start_fill(output, store, paced);
      sleep_seconds(random.uniform(0, whole / 2));
      ::kill(pid, SIGKILL);
      const WorkerResult r = wait_for_worker(output, pid);
      if (!r.killed()) {
        EXPECT_EQ(r.exit_code, 0) << r.err;
        break;
      }
      ++kills;
      committed = std::max(committed, r.committed);
      expect_kept(store, fill, committed);
      if (HasFailure()) break;
    }
    expect_completes(store, fill);
    fs::remove_all(store);
  }
}

TEST_F(KillPointTest, AtEveryOperationLosesNothing) {
  kill_at_each_operation({}, 0, 300);
}

// The log that a killed run has left is sealed by the next one, which is killed in its turn.
TEST_F(KillPointTest, AtEveryOperationOfARunAfterAKillLosesNothing) {
  const fs::path before = folder_ / "before";
  const WorkerResult killed = run_fill(before, {}, faults(before, {"GRAFT_FAULT_KILL=85:torn"}));
  ASSERT_TRUE(killed.killed());
  ASSERT_GT(killed.committed, 200u);
  kill_at_each_operation(before, killed.committed, 100);
}

TEST_F(KillTest, OfTheProgramAtRandomMomentsChangesNoBitOfItsOutcome) {
  const GraftRun program;
  const Clock::time_point begin = Clock::now();
  ASSERT_EQ(program.run(folder_ / "whole", folder_ / "s").exit_code, 0);
  const double whole = seconds_since(begin);
  const auto expected = GraftRun::outcome(folder_ / "whole");
  Random random(61);
  const int trials = fault_trials() / 6;
  int kills = 0;
  for (int chain = 1; kills < trials && !HasFailure(); ++chain) {
    const fs::path store = folder_ / ("s" + std::to_string(chain)), out = folder_ / "r";
    for (;;) {
      SCOPED_TRACE("chain " + std::to_string(chain) + ", kill " + std::to_string(kills));
      const TempFolder output;
      const pid_t pid = program.start(output, out, store);
      sleep_seconds(random.uniform(0, whole));
      ::kill(pid, SIGKILL);
      const ProgramResult r = wait_for(output, pid);
      if (r.exit_code == 128 + SIGKILL && ++kills < trials) continue;
      const ProgramResult rest = program.run(out, store);
      EXPECT_EQ(rest.exit_code, 0) << rest.err;
      break;
    }
    EXPECT_EQ(GraftRun::different(out, expected), "");
    fs::remove_all(store);
    fs::remove_all(out);
  }
}

}  // namespace
}  // namespace graft::test
