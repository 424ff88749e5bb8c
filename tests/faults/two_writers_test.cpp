// Several processes on one store, at the same time and one stopped while another goes on.

#include <chrono>
#include <thread>

#include "graft_run.h"
#include "store_faults.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;

void sleep_ms(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

class TwoWritersTest : public StoreFaults {
 protected:
  /// Waits until a worker has told of so many committed rows.
  static bool wait_for_commits(const TempFolder& output, std::uint64_t rows) {
    for (int i = 0; i < 10000; ++i, sleep_ms(1)) {
      std::istringstream lines(slurp(output / "stdout"));
      std::uint64_t n = 0;
      for (std::string word; lines >> word >> n;)
        if (n >= rows) return true;
    }
    return false;
  }
};

TEST_F(TwoWritersTest, AtTheSameTimeStoreEachRowOnce) {
  const Fill fill{.rows = 900, .per_shard = 150, .per_commit = 15};
  const int trials = 10 * fault_trials() / 60;
  for (int trial = 0; trial < trials && !HasFailure(); ++trial) {
    SCOPED_TRACE("seed " + std::to_string(trial));
    const fs::path store = folder_ / std::to_string(trial);
    constexpr int kWriters = 3;
    const TempFolder outputs[kWriters];
    pid_t pids[kWriters];
    for (int w = 0; w < kWriters; ++w) {
      Fill paced = fill;
      paced.seed = static_cast<std::uint64_t>(trial * kWriters + w) + 1;
      pids[w] = start_fill(outputs[w], store, paced);
      if (trial % 2 == 1) sleep_ms(trial * 3);
    }
    for (int w = 0; w < kWriters; ++w) {
      const WorkerResult r = wait_for_worker(outputs[w], pids[w]);
      EXPECT_EQ(r.exit_code, 0) << r.err;
      EXPECT_EQ(r.committed, r.pushed == 0 ? 0 : fill.rows);
    }
    EXPECT_EQ(check_table(store, fill.rows, fill.rows).fault, "");
    EXPECT_EQ(expect_completes(store, fill), 0);
    fs::remove_all(store);
  }
}

TEST_F(TwoWritersTest, OfWhomOneIsKilledLoseNothing) {
  const Fill fill{.rows = 900, .per_shard = 150, .per_commit = 15, .seed = 5};
  const int trials = 10 * fault_trials() / 60;
  for (int trial = 0; trial < trials && !HasFailure(); ++trial) {
    SCOPED_TRACE("trial " + std::to_string(trial));
    const fs::path store = folder_ / std::to_string(trial);
    const TempFolder first_output, second_output;
    const pid_t first = start_fill(first_output, store, fill);
    Fill other = fill;
    other.seed = static_cast<std::uint64_t>(trial) + 100;
    const pid_t second = start_fill(second_output, store, other);
    ASSERT_TRUE(wait_for_commits(first_output, static_cast<std::uint64_t>(trial % 10) * 60 + 30));
    ::kill(first, SIGKILL);
    const WorkerResult killed = wait_for_worker(first_output, first);
    const WorkerResult rest = wait_for_worker(second_output, second);
    EXPECT_EQ(rest.exit_code, 0) << rest.err;
    expect_kept(store, fill, std::max(killed.committed, rest.committed));
    expect_completes(store, fill);
    fs::remove_all(store);
  }
}

TEST_F(TwoWritersTest, AWorkerThatIsStoppedForAWhileEndsWell) {
  const Fill fill{.rows = 900, .per_shard = 300, .per_commit = 15, .seed = 7};
  for (const std::uint64_t rows : {30u, 290u, 450u, 610u}) {
    SCOPED_TRACE("stopped after " + std::to_string(rows) + " rows");
    const fs::path store = folder_ / std::to_string(rows);
    const TempFolder output;
    const pid_t first = start_fill(output, store, fill);
    ASSERT_TRUE(wait_for_commits(output, rows));
    ::kill(first, SIGSTOP);
    const WorkerResult second = run_fill(store, fill);
    EXPECT_EQ(second.exit_code, 0) << second.err;
    EXPECT_GT(second.pushed, 0);
    EXPECT_EQ(check_table(store, fill.rows, fill.rows).fault, "");
    ::kill(first, SIGCONT);
    const WorkerResult r = wait_for_worker(output, first);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    EXPECT_EQ(r.committed, fill.rows);
    EXPECT_EQ(expect_completes(store, fill), 0);
  }
}

TEST_F(TwoWritersTest, AWorkerThatIsStoppedBeforeAnyOperationEndsWell) {
  const Fill fill{.rows = 300, .per_shard = 100, .per_commit = 25};
  std::size_t operations = 0;
  for (const Recorded& o : record_fill(folder_ / "whole", fill))
    operations += o.header.operation != Operation::Say;
  const std::size_t stride = long_trials() ? 1 : 3;
  for (std::size_t n = 1; n <= operations && !HasFailure(); n += stride) {
    SCOPED_TRACE("stopped before operation " + std::to_string(n));
    const fs::path store = folder_ / std::to_string(n);
    const TempFolder output;
    const pid_t first = start_fill(
        output, store, fill, faults(folder_.path(), {"GRAFT_FAULT_KILL=" + std::to_string(n) + ":stop"}));
    int status = 0;
    ASSERT_EQ(::waitpid(first, &status, WUNTRACED), first);
    ASSERT_TRUE(WIFSTOPPED(status));
    const WorkerResult second = run_fill(store, fill);
    EXPECT_EQ(second.exit_code, 0) << second.err;
    EXPECT_EQ(check_table(store, fill.rows, fill.rows).fault, "");
    ::kill(first, SIGCONT);
    const WorkerResult r = wait_for_worker(output, first);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    EXPECT_EQ(expect_completes(store, fill), 0);
    fs::remove_all(store);
  }
}

TEST_F(TwoWritersTest, RunsOfTheProgramHaveOneOutcome) {
  const GraftRun program;
  ASSERT_EQ(program.run(folder_ / "whole", folder_ / "s0").exit_code, 0);
  const auto expected = GraftRun::outcome(folder_ / "whole");
  for (int trial = 0; trial < 5 * fault_trials() / 60 && !HasFailure(); ++trial) {
    SCOPED_TRACE("trial " + std::to_string(trial));
    const fs::path store = folder_ / ("s" + std::to_string(trial + 1));
    const TempFolder first_output, second_output;
    const pid_t first = program.start(first_output, folder_ / "r1", store);
    sleep_ms(trial % 5 * 20);
    const pid_t second = program.start(second_output, folder_ / "r2", store);
    const ProgramResult a = wait_for(first_output, first), b = wait_for(second_output, second);
    EXPECT_EQ(a.exit_code, 0) << a.err;
    EXPECT_EQ(b.exit_code, 0) << b.err;
    for (const char* out : {"r1", "r2"}) EXPECT_EQ(GraftRun::different(folder_ / out, expected), "");
    // And whoever comes later computes nothing.
    const ProgramResult c = program.run(folder_ / "r3", store);
    EXPECT_EQ(c.exit_code, 0) << c.err;
    EXPECT_EQ(GraftRun::computed(folder_ / "r3"), 0u);
    EXPECT_EQ(GraftRun::different(folder_ / "r3", expected), "");
    for (const char* out : {"r1", "r2", "r3"}) fs::remove_all(folder_ / out);
    fs::remove_all(store);
  }
}

}  // namespace
}  // namespace graft::test
