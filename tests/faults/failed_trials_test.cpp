// Trainings within a run, and runs within a sweep, on a disk that is full or broken: scores are over all of
// them, or say over how many they are, or there are none.

#include "graft_run.h"
#include "store_faults.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

class FailedTrials : public StoreFaults {
 protected:
  FailedTrials() {
    EXPECT_EQ(program_.run(folder_ / "whole", store()).exit_code, 0);
    whole_ = GraftRun::outcome(folder_ / "whole");
  }
  std::string store() const { return folder_ / "s"; }
  /// A run in which the n-th folder that is made or removed meets an error.
  ProgramResult run(int n, int error) const {
    fs::remove_all(folder_ / "runs");
    return program_.run(folder_ / "runs/x", store(),
                        faults(folder_ / "runs", {"GRAFT_FAULT_ERROR=folder:" + std::to_string(n) + ":" +
                                                  std::to_string(error) + ":once"}));
  }

  const GraftRun program_{"  cmp: {plugin: compare, from: knn, with: {cv: 3, on_test: false}}\n"};
  std::map<std::string, std::string> whole_;
};

TEST_F(FailedTrials, AFullDiskInATrialEndsTheRunAndAnotherErrorIsCounted) {
  int in_trials = 0, last = 0;
  for (int n = 1; n < 200 && last < 3; ++n) {
    SCOPED_TRACE(n);
    const ProgramResult full = run(n, ENOSPC);
    if (full.exit_code == 0) {  // it was a folder to be removed, or there are not so many
      EXPECT_EQ(GraftRun::different(folder_ / "runs/x", whole_), "");
      ++last;
      continue;
    }
    last = 0;
    EXPECT_EQ(full.exit_code, 1);
    EXPECT_THAT(full.err, HasSubstr("No space left on device"));
    EXPECT_FALSE(fs::exists(folder_ / "runs/x"));
    if (full.err.find("in a trial with") == std::string::npos) continue;
    ++in_trials;
    EXPECT_THAT(full.err,
                ContainsRegex("error: stage 'cmp' .*: stage 'knn' .*: in a trial with [0-9]+ train"));
    const ProgramResult broken = run(n, EIO);
    ASSERT_EQ(broken.exit_code, 0) << broken.err;
    const json results = json::parse(slurp(folder_ / "runs/x/results.json"));
    EXPECT_EQ(results["reports"]["cmp"]["cross_validation"]["learners"]["knn"]["trials"], 2);
    EXPECT_THAT(broken.err + slurp(folder_ / "runs/x/manifest.json"),
                ContainsRegex("cmp.*: fold [123] failed and is left out: stage 'knn' .*Input/output error"));
    EXPECT_THAT(slurp(folder_ / "runs/x/log.txt"), HasSubstr("2 of 3"));
  }
  EXPECT_EQ(in_trials, 3);
}

TEST_F(FailedTrials, AFullDiskInACombinationEndsTheSweepWhichGoesOnWhenThereIsRoom) {
  const auto sweep = [&](const Environment& environment) {
    const TempFolder output;
    return wait_for(output, program_.start_command(output, "sweep", folder_ / "o", store(), environment,
                                                   {"--grid", "knn.k=[1, 5, 9]"}));
  };
  const auto figures = [&] {
    json results = json::parse(slurp(folder_ / "o/sweep.json"));
    for (json& c : results["combinations"]) {
      for (const char* changing : {"stream_seconds", "computed", "reused"}) c.erase(changing);
      for (json& learner : c["learners"]) learner.erase("seconds");
    }
    return results;
  };
  EXPECT_EQ(sweep({}).exit_code, 0);
  const json whole = figures();
  int ended = 0;
  for (const char* fault : {"create:1", "folder:2", "create:14", "folder:9", "write:20", "sync:30"}) {
    SCOPED_TRACE(fault);
    fs::remove_all(folder_ / "o");
    const ProgramResult full = sweep(faults(folder_ / "o", {"GRAFT_FAULT_ERROR=" + std::string(fault) + ":" +
                                                            std::to_string(ENOSPC) + ":always"}));
    if (full.exit_code == 0) continue;
    ++ended;
    EXPECT_EQ(full.exit_code, 1);
    EXPECT_THAT(full.err, HasSubstr("No space left on device"));
    EXPECT_THAT(full.err, ContainsRegex("\n  [0-3] of 3 combinations are finished\n  resume with: .*--grid"));
    EXPECT_EQ(sweep({}).exit_code, 0);
    EXPECT_EQ(figures(), whole);
  }
  EXPECT_GT(ended, 3);
}

}  // namespace
}  // namespace graft::test
