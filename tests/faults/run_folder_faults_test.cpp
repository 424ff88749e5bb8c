// The folder of a run under kills and failing disks: the former complete run or the new one, never a mixture.

#include <graft/hash.h>

#include "graft_run.h"
#include "stopped_program.h"
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

// A run may take hours, and its place is free to others meanwhile.
TEST_F(RunFolderFaults, WhatPeoplePutAtThePlaceMeanwhileIsKept) {
  const auto write = [](const fs::path& file) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << "precious";
  };
  const struct {
    std::string name, error;
    std::function<void(const fs::path& place)> put;
    std::string left;  ///< Below the place.
  } cases[] = {
      {"file", " is not a folder: choose another one with --out", write, ""},
      {"folder", " contains files that graft did not write (notes.txt): choose a new or an empty folder",
       [&](const fs::path& place) { write(place / "notes.txt"); }, "notes.txt"},
      {"link", " is a link to a folder that is not there: ",
       [&](const fs::path& place) { fs::create_symlink("nowhere", place); }, ""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const fs::path place = folder_ / c.name / "x";
    write(fs::path(place.string() + ".failed") / "notes.txt");  // so that the run goes to x.failed.1
    StoppedProgram run(program_.arguments("run", place, store(), {}, {}),
                       faults(folder_ / c.name, {"GRAFT_FAULT_STOP=/predictions/"}), program_.folder());
    c.put(place);
    const ProgramResult r = run.go_on();
    EXPECT_EQ(r.exit_code, 1);
    EXPECT_THAT(r.err, HasSubstr(place.string() + c.error));
    const std::string failed = place.string() + ".failed.1";
    EXPECT_THAT(r.err, HasSubstr("what the failed run had is in " + failed + "\n"));
    if (c.name == "link")
      EXPECT_EQ(fs::read_symlink(place), "nowhere");
    else
      EXPECT_EQ(slurp(c.left.empty() ? place : place / c.left), "precious");
    EXPECT_FALSE(fs::exists(place.string() + ".1"));
    EXPECT_EQ(state(failed), "former");
  }
}

TEST_F(RunFolderFaults, TheTraceIsNamedWhereTheRunIs) {
  const fs::path place = folder_ / "traced/x";
  fs::create_directories(place.string() + ".interrupted");
  std::ofstream(place.string() + ".interrupted/notes.txt") << "precious";
  StoppedProgram run(
      program_.arguments("run", place, store(), {"--trace", (place / "trace.json").string()}, {}),
      faults(folder_ / "traced", {"GRAFT_FAULT_STOP=/predictions/"}), program_.folder());
  ::kill(run.pid(), SIGINT);
  const ProgramResult r = run.go_on();
  EXPECT_EQ(r.exit_code, 130);
  const std::string trace = place.string() + ".interrupted.1/trace.json";
  EXPECT_THAT(r.out + r.err, HasSubstr("trace    " + trace + " ("));
  EXPECT_TRUE(fs::exists(trace));
}

TEST_F(RunFolderFaults, OfARunThatWasKilledJustBeforeItWasCompleteTheLogIsKept) {
  const fs::path place = folder_ / "late/x";
  StoppedProgram run(program_.arguments("run", place, store(), {}),
                     faults(folder_ / "late", {"GRAFT_FAULT_STOP=/results.json"}), program_.folder());
  run.kill();
  EXPECT_EQ(run_other(folder_ / "late").exit_code, 0);
  EXPECT_EQ(state(place), "latter");
  EXPECT_TRUE(fs::exists(place.string() + ".failed/log.txt"));
  EXPECT_TRUE(fs::exists(place.string() + ".failed/manifest.json"));
  EXPECT_THAT(slurp(place.string() + ".failed/status.json"), HasSubstr("a crash, a kill or a power cut"));
}

TEST_F(RunFolderFaults, OfARunThatWasKilledJustAfterItWasCompleteTheTableIsInUse) {
  const fs::path place = folder_ / "used/x";
  const fs::path table = fs::directory_iterator(folder_ / "s/tables")->path();
  for (const char* earlier : {"k1", "k9"}) fs::remove_all(folder_ / earlier);
  fs::remove_all(table / "uses");
  const std::string use = "/uses/" + digest(place.string() + "/rows").hex() + ".json";
  StoppedProgram run(program_.arguments("run", place, store(), {}),
                     faults(folder_.path(), {"GRAFT_FAULT_STOP=" + use}), program_.folder());
  EXPECT_TRUE(fs::exists(place / "manifest.json"));
  EXPECT_FALSE(fs::exists(table.string() + use));
  run.kill();
  const ProgramResult gc = run_program({"store", "gc", "--unreferenced", "--store", store()});
  EXPECT_EQ(gc.exit_code, 0) << gc.err;
  EXPECT_TRUE(fs::exists(table));
  EXPECT_EQ(run_program({"store", "export", "faults/rows", folder_ / "x.h5", "--store", store()}).exit_code,
            0);
  ASSERT_EQ(run_other(folder_ / "used").exit_code, 0);
  EXPECT_EQ(GraftRun::computed(place), 0u);
  EXPECT_TRUE(fs::exists(table.string() + use));
  EXPECT_EQ(std::distance(fs::directory_iterator(table / "uses"), {}), 1) << "what was killed is tidied up";
}

TEST_F(RunFolderFaults, ARunThatFailsAtTheEndUsesNoTable) {
  const fs::path table = fs::directory_iterator(folder_ / "s/tables")->path();
  const auto uses = [&] { return std::distance(fs::directory_iterator(table / "uses"), {}); };
  const auto before = uses();
  StoppedProgram run(program_.arguments("run", folder_ / "end/x", store(), {}),
                     faults(folder_.path(), {"GRAFT_FAULT_STOP=/results.json"}), program_.folder());
  EXPECT_EQ(uses(), before + 1);
  std::ofstream(folder_ / "end/x") << "precious";
  EXPECT_EQ(run.go_on().exit_code, 1);
  EXPECT_EQ(uses(), before);
}

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
