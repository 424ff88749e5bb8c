// Shards under faults: workers killed at operations on files, disks that are full, locks and links that are
// not there. What the others and the merge make of it is a single run, bit for bit.

#include "graft_run.h"
#include "store_faults.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Json = nlohmann::json;

class ShardFaultsTest : public StoreFaults {
 protected:
  void SetUp() override {
    ASSERT_EQ(program_.run(folder_ / "whole", folder_ / "whole_store").exit_code, 0);
    expected_ = GraftRun::outcome(folder_ / "whole");
  }
  void expect_merges(const fs::path& store, const Environment& environment = {}) {
    const fs::path out = folder_ / "r";
    const ProgramResult r = program_.run(out, store, environment, {"--merge"});
    ASSERT_EQ(r.exit_code, 0) << r.err;
    EXPECT_EQ(GraftRun::different(out, expected_), "");
    fs::remove_all(out);
  }
  static std::string state(const fs::path& store) {
    const ProgramResult r = run_program({"status", "faults", "--store", store, "--json"});
    const Json now = Json::parse(r.out, nullptr, false);
    return now.contains("state") ? now["state"].get<std::string>() : r.err;
  }

  const GraftRun program_;
  std::map<std::string, std::string> expected_;
};

TEST_F(ShardFaultsTest, AWorkerIsKilledAtAnyMoment) {
  const fs::path store = folder_ / "s";
  std::size_t kills = 0;
  for (int operation = 1;; operation += long_trials() ? 3 : 11) {
    const char* const moment = std::array{"before", "torn", "after"}[static_cast<std::size_t>(operation) % 3];
    SCOPED_TRACE(std::to_string(operation) + ":" + moment);
    const ProgramResult killed = program_.run_shard(
        store, "0/2", faults(store, {"GRAFT_FAULT_KILL=" + std::to_string(operation) + ":" + moment}));
    if (killed.exit_code != 128 + SIGKILL) {
      EXPECT_EQ(killed.exit_code, 0) << killed.err;
      break;
    }
    ++kills;
    const ProgramResult other = program_.run_shard(store, "1/2");
    ASSERT_EQ(other.exit_code, 0) << other.err;
    // The dead one's part is taken over, if it had come so far as to claim it.
    if (state(store) != "done") {
      ASSERT_EQ(program_.run_shard(store, "0/2").exit_code, 0);
    }
    EXPECT_EQ(state(store), "done");
    expect_merges(store);
    fs::remove_all(store);
    if (HasFailure()) return;
  }
  EXPECT_GT(kills, 5u);
}

TEST_F(ShardFaultsTest, ADiskThatIsFullEndsAWorkerAndTheNextGoesOn) {
  const fs::path store = folder_ / "s";
  for (const int n : {3, 8, 15}) {
    SCOPED_TRACE(n);
    const ProgramResult full = program_.run_shard(
        store, "0/2", faults(store, {"GRAFT_FAULT_ERROR=write:" + std::to_string(n) + ":28:always"}));
    EXPECT_EQ(full.exit_code, 1);
    EXPECT_THAT(full.err, HasSubstr("No space left on device"));
    ASSERT_EQ(program_.run_shard(store, "1/2").exit_code, 0);
    if (state(store) != "done") {
      ASSERT_EQ(program_.run_shard(store, "0/2").exit_code, 0);
    }
    expect_merges(store);
    fs::remove_all(store);
  }
}

TEST_F(ShardFaultsTest, WithoutLocksAndWithoutLinks) {
  for (const char* fault :
       {"GRAFT_FAULT_FLOCK=37", "GRAFT_FAULT_FLOCK=38", "GRAFT_FAULT_FLOCK=95", "GRAFT_FAULT_NO_LINKS=1"}) {
    SCOPED_TRACE(fault);
    const fs::path store = folder_ / "s";
    const Environment environment = faults(store, {fault});
    for (const char* shard : {"0/2", "1/2"}) {
      const ProgramResult r = program_.run_shard(store, shard, environment);
      EXPECT_EQ(r.exit_code, 0) << r.err;
    }
    EXPECT_EQ(state(store), "done");
    expect_merges(store, environment);
    fs::remove_all(store);
  }
}

TEST_F(ShardFaultsTest, AReadOnlyOrVanishedStoreIsAnError) {
  const fs::path store = folder_ / "s";
  const ProgramResult r =
      program_.run_shard(store, "0/2", faults(store, {"GRAFT_FAULT_ERROR=create:1:30:always"}));
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr("Read-only file system"));
  folder_.write("file", "");
  EXPECT_THAT(program_.run_shard(folder_ / "file", "0/2").err, HasSubstr("cannot make the folder"));
}

}  // namespace
}  // namespace graft::test
