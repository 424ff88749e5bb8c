// The folder of a run under kills and failing disks: the former complete run or the new one, never a mixture.

#include "graft_run.h"
#include "store_faults.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class RunFolderFaults : public StoreFaults {
 protected:
  RunFolderFaults() {
    EXPECT_EQ(program_.run(folder_ / "k1", store()).exit_code, 0);
    EXPECT_EQ(program_.run(folder_ / "k9", store(), {}, kOther).exit_code, 0);
    former_ = GraftRun::outcome(folder_ / "k1");
    latter_ = GraftRun::outcome(folder_ / "k9");
  }
  std::string store() const { return folder_ / "s"; }
  /// A complete run with the usual settings at runs/x, and one before it.
  fs::path begin(const std::string& name) const {
    fs::path runs = folder_ / name;
    for (int i = 0; i < 2; ++i) EXPECT_EQ(program_.run(runs / "x", store()).exit_code, 0);
    return runs;
  }
  ProgramResult run_other(const fs::path& runs, const Environment& environment = {}) const {
    return program_.run(runs / "x", store(), environment, kOther);
  }
  std::string state(const fs::path& run) const {
    if (GraftRun::different(run, former_).empty()) return "former";
    if (GraftRun::different(run, latter_).empty()) return "latter";
    return "mixed: " + GraftRun::different(run, former_);
  }
  /// After any failure, the next run repairs everything.
  void expect_recovers(const fs::path& runs) const {
    const ProgramResult rest = run_other(runs);
    EXPECT_EQ(rest.exit_code, 0) << rest.err;
    EXPECT_EQ(state(runs / "x"), "latter");
    EXPECT_THAT(state(runs / "x.1"), AnyOf("former", "latter"));
    for (const auto& entry : fs::directory_iterator(runs))
      EXPECT_THAT(entry.path().filename().string(), AnyOf("x", "x.1", "x.failed"));
  }

  const Environment kOther{"--set", "knn.k=9"};
  GraftRun program_;
  std::map<std::string, std::string> former_, latter_;
};

TEST_F(RunFolderFaults, AKillAtAnyMomentLeavesTheFormerRunOrTheNewOne) {
  ASSERT_NE(former_, latter_);
  const int stride = long_trials() ? 1 : 9;
  int killed = 0, points = 0;
  std::string seen;
  for (int n = 1;; n += stride) {
    SCOPED_TRACE(n);
    const fs::path runs = begin("runs" + std::to_string(n));
    const ProgramResult r =
        run_other(runs, faults(runs, {"GRAFT_FAULT_KILL=" + std::to_string(n) + ":before"}));
    ++points;
    if (r.exit_code == 0) break;
    ++killed;
    ASSERT_EQ(r.exit_code, 128 + SIGKILL) << r.err;
    ASSERT_THAT(state(runs / "x"), AnyOf("former", "latter"));
    seen += state(runs / "x") == "former" ? 'f' : 'l';
    expect_recovers(runs);
    fs::remove_all(runs);
    ASSERT_LT(points, 2000);
  }
  EXPECT_GT(killed, 4);
  EXPECT_THAT(seen, ::testing::MatchesRegex("f+l*"));
}

TEST_F(RunFolderFaults, AKillAroundTheLastRenamesLeavesTheFormerRunOrTheNewOne) {
  // The renames that end a run: of the folder, and of the run before.
  const fs::path whole = begin("whole");
  const std::string log = folder_ / "record";
  EXPECT_EQ(run_other(whole, faults(whole, {"GRAFT_FAULT_RECORD=" + log})).exit_code, 0);
  std::ifstream in(log, std::ios::binary);
  int changes = 0;
  std::vector<int> last;
  for (RecordedOperation h; in.read(reinterpret_cast<char*>(&h), sizeof h);) {
    in.ignore(static_cast<std::streamsize>(h.path_bytes + h.other_bytes + h.data_bytes));
    ++changes;
    if (h.operation == Operation::Rename || h.operation == Operation::RemoveFolder) last.push_back(changes);
  }
  ASSERT_GT(last.size(), 4u);
  std::string seen;
  const int first = last[last.size() - 4];
  for (int n = first - 2; n <= changes; n += long_trials() ? 1 : 2)
    for (const char* moment : {"before", "after"}) {
      SCOPED_TRACE(std::to_string(n) + moment);
      const fs::path runs = begin("runs");
      const ProgramResult r =
          run_other(runs, faults(runs, {"GRAFT_FAULT_KILL=" + std::to_string(n) + ":" + moment}));
      ASSERT_THAT(r.exit_code, AnyOf(0, 128 + SIGKILL));
      ASSERT_THAT(state(runs / "x"), AnyOf("former", "latter"));
      seen += state(runs / "x") == "former" ? 'f' : 'l';
      expect_recovers(runs);
      fs::remove_all(runs);
    }
  EXPECT_THAT(seen, ::testing::ContainsRegex("l"));
}

TEST_F(RunFolderFaults, AFullDiskEndsTheRunAndNamesTheFile) {
  const std::string full = std::to_string(ENOSPC);
  int failed = 0;
  for (int n = 1; n < 40; n += long_trials() ? 1 : 3) {
    SCOPED_TRACE(n);
    const fs::path runs = begin("runs" + std::to_string(n));
    const ProgramResult r = run_other(
        runs, faults(runs, {"GRAFT_FAULT_ERROR=create:" + std::to_string(n) + ":" + full + ":always"}));
    if (r.exit_code == 0) {
      EXPECT_EQ(state(runs / "x"), "latter");
      break;
    }
    ++failed;
    EXPECT_EQ(r.exit_code, 1);
    EXPECT_THAT(r.err, HasSubstr("No space left on device"));
    EXPECT_THAT(r.err, ::testing::ContainsRegex("cannot (create|make) .*/[.]?x"));
    EXPECT_EQ(state(runs / "x"), "former");
    expect_recovers(runs);
    fs::remove_all(runs);
  }
  EXPECT_GT(failed, 2);
}

TEST_F(RunFolderFaults, WhereNamesCannotBeExchangedTwoRenamesDo) {
  int tried = 0, succeeded = 0;
  for (int n = 1; n < 40; ++n) {
    SCOPED_TRACE(n);
    const fs::path runs = begin("runs");
    const ProgramResult r = run_other(runs, faults(runs, {"GRAFT_FAULT_ERROR=rename:" + std::to_string(n) +
                                                          ":" + std::to_string(EINVAL) + ":once"}));
    ++tried;
    if (r.exit_code == 0) {
      ++succeeded;
      EXPECT_EQ(state(runs / "x"), "latter");
      // Where it was the rename of the former run that failed, the next run gives it its number.
      if (fs::exists(runs / "x.1")) {
        EXPECT_EQ(state(runs / "x.1"), "former");
      }
    } else {
      EXPECT_EQ(state(runs / "x"), "former") << r.err;
    }
    expect_recovers(runs);
    const bool none_left = r.exit_code == 0 && succeeded > 4;
    fs::remove_all(runs);
    if (none_left) break;
  }
  EXPECT_GT(succeeded, 1) << "of " << tried;
}

}  // namespace
}  // namespace graft::test
