// graft store compact, killed at every operation on a file: no row is lost or damaged, and the next run or
// the next compaction ends what was begun.

#include <sys/wait.h>

#include "store/manifest.h"
#include "store/row_log.h"
#include "store_faults.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class CompactTest : public StoreFaults {
 protected:
  void SetUp() override {
    const WorkerResult r = run_fill(folder_ / "before", fill_);
    ASSERT_EQ(r.exit_code, 0) << r.err;
  }
  static ProgramResult compact(const fs::path& store, const Environment& environment = {}) {
    return run_program({"store", "compact", "--store", store}, {}, environment);
  }
  std::size_t shards(const fs::path& store) const {
    std::size_t n = 0;
    for (const auto& e : fs::directory_iterator(store / "tables" / stored_fingerprint().hex() / "shards"))
      n += e.path().extension() == ".h5" ? 1 : 0;
    return n;
  }

  const Fill fill_{.rows = 600, .per_shard = 100};
};

TEST_F(CompactTest, JoinsShardsIntoTheSameTable) {
  EXPECT_EQ(shards(folder_ / "before"), 6u);
  const ProgramResult r = compact(folder_ / "before");
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr(": 6 shards became 1 (583 rows, 17 rejects)\n"));
  EXPECT_EQ(shards(folder_ / "before"), 1u);
  EXPECT_EQ(expect_completes(folder_ / "before", fill_), 0) << "nothing is computed again";
  EXPECT_THAT(run_program({"store", "verify", "--store", folder_ / "before"}).out, HasSubstr(": sound"));
}

TEST_F(CompactTest, SizesAreKept) {
  // 512 bytes a row: five shards of 128 rows, the last one smaller.
  const ProgramResult r =
      run_program({"store", "compact", "--store", folder_ / "before", "--shard-size", "64KiB"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(shards(folder_ / "before"), 6u) << "shards of half the size and more stay";
  const ProgramResult joined =
      run_program({"store", "compact", "--store", folder_ / "before", "--shard-size", "128KiB"});
  EXPECT_THAT(joined.out, HasSubstr(": 6 shards became 3 ("));
  EXPECT_EQ(expect_completes(folder_ / "before", fill_), 0);
}

TEST_F(CompactTest, AKillAtAnyMomentLosesNothing) {
  const fs::path store = folder_ / "s";
  std::size_t points = 0, taken_back = 0, brought_to_an_end = 0;
  for (const char* moment : {"before", "torn", "after"})
    for (int operation = 1;; operation += long_trials() ? 1 : 3) {
      SCOPED_TRACE(std::to_string(operation) + ":" + moment);
      fs::remove_all(store);
      fs::copy(folder_ / "before", store, fs::copy_options::recursive);
      const ProgramResult r =
          compact(store, faults(store, {"GRAFT_FAULT_KILL=" + std::to_string(operation) + ":" + moment}));
      if (r.exit_code != 128 + SIGKILL) {
        EXPECT_EQ(r.exit_code, 0) << r.err;
        break;
      }
      ++points;
      const ProgramResult verified = run_program({"store", "verify", "--store", store});
      EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
      if (points % 2 == 0) {  // half of them by the next compaction, half by the next run
        EXPECT_EQ(compact(store).exit_code, 0);
        EXPECT_EQ(shards(store), 1u);
      }
      EXPECT_EQ(expect_completes(store, fill_), 0) << "no row is computed again";
      ++(shards(store) == 1 ? brought_to_an_end : taken_back);
      if (HasFailure()) return;
    }
  EXPECT_GT(points, 20u);
  EXPECT_GT(taken_back, 0u);
  EXPECT_GT(brought_to_an_end, 0u);
}

// Some old shards are gone by then: what is left of them and the sound new ones have every row together.
TEST_F(CompactTest, ADamagedNewShardOfAKilledCompactionCostsNoSoundRow) {
  const fs::path store = folder_ / "before", table = store / "tables" / stored_fingerprint().hex();
  const std::vector<std::string> arguments{"store", "compact", "--store", store, "--shard-size", "128KiB"};
  const TempFolder output;
  const pid_t compaction =
      start_program(output, arguments, {}, faults(store, {"GRAFT_FAULT_STOP=/manifest/00000003."}));
  int status = 0;
  ASSERT_EQ(::waitpid(compaction, &status, WUNTRACED), compaction);
  ASSERT_TRUE(WIFSTOPPED(status)) << slurp(output / "stderr");
  ::kill(compaction, SIGKILL);
  wait_for(output, compaction);
  EXPECT_THAT(run_program({"store", "verify", "--store", store}).out,
              HasSubstr("583 rows, 17 rejects in 6 shards"))
      << "no row counts twice";

  const auto damaged = read_manifest_entry(table / "manifest/00000008");
  ASSERT_TRUE(damaged);
  flip_bit(table / "shards" / damaged->file, 8 * 4000);
  const ProgramResult repaired = run_program({"store", "verify", "--repair", "--store", store});
  EXPECT_EQ(repaired.exit_code, 0) << repaired.err;
  EXPECT_THAT(repaired.out, HasSubstr("dropped " + (table / "shards" / damaged->file).string()));
  fs::copy(store, folder_ / "copy", fs::copy_options::recursive);

  EXPECT_EQ(expect_completes(store, fill_), 0) << "the old shards have the rows of the damaged one";
  EXPECT_THAT(run_program({"store", "verify", "--store", store}).out, HasSubstr(": sound"));
  EXPECT_EQ(compact(folder_ / "copy").exit_code, 0);
  EXPECT_EQ(shards(folder_ / "copy"), 1u);
  EXPECT_EQ(expect_completes(folder_ / "copy", fill_), 0);
}

TEST_F(CompactTest, ATableInUseIsLeftAlone) {
  const TempFolder output;
  const pid_t writer = start_fill(output, folder_ / "before", {.rows = 6000, .per_commit = 10, .seed = 5});
  for (int i = 0; i < 200 && slurp(output / "stdout").empty(); ++i) ::usleep(20'000);
  const ProgramResult r = compact(folder_ / "before");
  ::kill(writer, SIGKILL);
  wait_for(output, writer);
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.out, HasSubstr(": it is in use, or this user may not open its lock\n"));
  EXPECT_GE(shards(folder_ / "before"), 6u);
}

// It could not open the table's lock, which belongs to another user.
TEST_F(CompactTest, AWriterThatHoldsItsLogAloneIsNotDisturbed) {
  const fs::path store = folder_ / "before", table = store / "tables" / stored_fingerprint().hex();
  {
    const RowLog log = RowLog::create(table / "logs/other.host.0123.rows", {DType::F32, {3}});
    EXPECT_EQ(compact(store).exit_code, 1);
    EXPECT_EQ(shards(store), 6u);
  }
  EXPECT_EQ(compact(store).exit_code, 0);
  EXPECT_EQ(shards(store), 1u);
}

TEST_F(CompactTest, AFullDiskChangesNothing) {
  const fs::path store = folder_ / "s";
  for (const char* operation : {"write", "sync", "link", "create"}) {
    int n = 1;
    for (;; ++n) {
      const std::string fault = operation + (":" + std::to_string(n)) + ":28:always";
      SCOPED_TRACE(fault);
      fs::remove_all(store);
      fs::copy(folder_ / "before", store, fs::copy_options::recursive);
      const ProgramResult r = compact(store, faults(store, {"GRAFT_FAULT_ERROR=" + fault}));
      if (r.exit_code == 0) break;
      EXPECT_EQ(r.exit_code, 1);
      EXPECT_THAT(r.err, HasSubstr("error: "));
      EXPECT_EQ(run_program({"store", "verify", "--store", store}).exit_code, 0);
      EXPECT_EQ(expect_completes(store, fill_), 0);
      if (HasFailure()) return;
    }
    EXPECT_GT(n, 1) << operation;
  }
}

}  // namespace
}  // namespace graft::test
