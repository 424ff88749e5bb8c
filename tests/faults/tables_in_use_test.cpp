// What somebody uses stays as it is: gc and repair beside running jobs, containers, users who may not read
// everything, file systems without links or locks, sources of several image sizes.

#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <set>

#include "tables_in_use.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST_F(TablesInUse, ATableThatARunHasJustComputedSurvivesGc) {
  Stopped run(*this, "/predictions/");
  const fs::path table = tables().at(0);
  const auto before = contents();
  for (const std::vector<std::string>& how :
       {std::vector<std::string>{"gc", "--unreferenced"}, {"gc", "--max-size", "0KiB"}, {"gc"}}) {
    const ProgramResult gc = store(how);
    EXPECT_EQ(gc.exit_code, 0) << gc.err;
    if (how.size() > 1) {
      EXPECT_EQ(gc.out, "left " + table.string() + ": it is in use\n0 B freed\n");
    }
    EXPECT_EQ(contents(), before);
  }
  EXPECT_THAT(store({"ls"}).out, HasSubstr("now"));
  const ProgramResult r = run.go_on();
  EXPECT_EQ(r.exit_code, 0) << r.err;
  expect_sound();
  EXPECT_EQ(GraftRun::outcome(folder_ / "r").count("predictions/near.csv"), 1u);
}

TEST_F(TablesInUse, ATableThatARunOnlyReadsSurvivesGc) {
  ASSERT_EQ(run().exit_code, 0);
  fs::remove_all(folder_ / "r");  // no run names it any more
  Stopped again(*this, "/predictions/");
  EXPECT_THAT(store({"gc", "--unreferenced"}).out, HasSubstr(": it is in use\n"));
  EXPECT_EQ(again.go_on().exit_code, 0);
  EXPECT_EQ(nlohmann::json::parse(slurp(folder_ / "r/results.json"))["tables"]["rows"]["computed"], 0);
  expect_sound();
}

TEST_F(TablesInUse, AKilledRunHoldsNothing) {
  Stopped run(*this, "/predictions/");
  EXPECT_EQ(run.kill().exit_code, 128 + SIGKILL);
  EXPECT_THAT(store({"gc", "--unreferenced"}).out, HasSubstr("no run's folder names it any more"));
  EXPECT_TRUE(tables().empty());
}

TEST_F(TablesInUse, TheListOfInputsOfARunThatIsAboutToNameItSurvivesGc) {
  Stopped run(*this, "/uses/");
  const fs::path inputs = tables().at(0) / "inputs";
  EXPECT_EQ(std::distance(fs::directory_iterator(inputs), {}), 1);
  EXPECT_THAT(store({"gc"}).out, HasSubstr("left " + tables().at(0).string() + ": it is in use\n"));
  EXPECT_EQ(std::distance(fs::directory_iterator(inputs), {}), 1);
  EXPECT_EQ(run.go_on().exit_code, 0);
  expect_sound();
  EXPECT_EQ(store({"export", "small/rows", folder_ / "x.h5"}).exit_code, 0);
}

TEST_F(TablesInUse, AListThatIsMissingIsMendedByRepair) {
  ASSERT_EQ(run().exit_code, 0);
  for (const auto& e : fs::directory_iterator(tables().at(0) / "inputs")) fs::remove(e.path());
  EXPECT_EQ(store({"verify"}).exit_code, 1);
  EXPECT_EQ(store({"verify", "--repair"}).exit_code, 0);
  expect_sound();
  ASSERT_EQ(run().exit_code, 0);
  EXPECT_EQ(store({"export", "small/rows", folder_ / "x.h5"}).exit_code, 0);
}

TEST_F(TablesInUse, RepairWaitsForRunsToEnd) {
  Stopped run(*this, "/predictions/");
  const fs::path shard = fs::directory_iterator(tables().at(0) / "shards")->path();
  flip_bit(shard, 4000);
  const ProgramResult beside = store({"verify", "--repair"});
  EXPECT_EQ(beside.exit_code, 1);
  EXPECT_THAT(
      beside.out,
      AllOf(
          HasSubstr("its SHA-256 is not the one in the manifest"),
          HasSubstr(tables().at(0).string() +
                    ": is in use, or this user may not open its lock; repair it when no run works with it\n"),
          HasSubstr("not all was repaired: see above\n")));
  EXPECT_TRUE(fs::exists(shard));
  run.go_on();
  const ProgramResult after = store({"verify", "--repair"});
  EXPECT_EQ(after.exit_code, 0) << after.out;
  EXPECT_FALSE(fs::exists(shard));
}

TEST_F(TablesInUse, RepairDropsNothingThatItMayNotRead) {
  if (!has_users()) GTEST_SKIP() << "needs setpriv, as root";
  ASSERT_EQ(run().exit_code, 0);
  const fs::path table = tables().at(0);
  const auto before = contents();
  int files = 0;
  for (const char* folder : {"shards", "manifest", "inputs", "uses", ""})
    for (const auto& e : fs::directory_iterator(table / folder)) {
      if (!e.is_regular_file()) continue;
      SCOPED_TRACE(e.path().string());
      fs::permissions(e.path(), fs::perms::none);
      const ProgramResult r = as_user({"store", "verify", "--repair"});
      fs::permissions(e.path(), fs::perms::owner_read | fs::perms::owner_write);
      EXPECT_EQ(contents(), before);
      if (e.path().filename() == "lock") {
        EXPECT_EQ(r.exit_code, 0) << r.out << r.err;  // nothing is wrong
        continue;
      }
      EXPECT_EQ(r.exit_code, 1) << r.out << r.err;
      EXPECT_THAT(r.out, AllOf(HasSubstr(": Permission denied"),
                               HasSubstr("left " + e.path().string() +
                                         ": it could not be read, which does not prove damage\n")));
      ++files;
    }
  EXPECT_GE(files, 5);
  expect_sound();
}

TEST_F(TablesInUse, ARunOfAnotherUserWhoseFilesAreClosedIsLeftAlone) {
  if (!has_users()) GTEST_SKIP() << "needs setpriv, as root";
  Stopped run(*this, "/manifest/");  // its log is not sealed yet
  const fs::path table = tables().at(0);
  for (const auto& e : fs::recursive_directory_iterator(table))
    if (e.is_regular_file()) fs::permissions(e.path(), fs::perms::none);
  const auto names = [&] {
    std::set<std::string> out;
    for (const auto& e : fs::recursive_directory_iterator(table)) out.insert(e.path().string());
    return out;
  };
  const auto before = names();
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"store", "verify", "--repair"}, {"store", "gc", "--unreferenced"}}) {
    const ProgramResult r = as_user(arguments);
    EXPECT_EQ(names(), before) << r.out << r.err;
  }
  for (const auto& e : fs::recursive_directory_iterator(table))
    if (e.is_regular_file()) fs::permissions(e.path(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(run.go_on().exit_code, 0);
  expect_sound();
}

TEST_F(TablesInUse, OneFailedReadNeverCostsAnything) {
  ASSERT_EQ(run().exit_code, 0);
  const auto before = contents();
  int told = 0;
  for (int n = 1; n < 200; ++n) {
    SCOPED_TRACE("read " + std::to_string(n));
    const ProgramResult r = store(
        {"verify", "--repair"}, faults(store_, {"GRAFT_FAULT_ERROR=read:" + std::to_string(n) + ":5:once"}));
    ASSERT_EQ(contents(), before) << r.out << r.err;
    if (r.exit_code == 0 && n > 40) break;  // no more reads
    told += r.exit_code == 1;
  }
  EXPECT_GT(told, 3);
  expect_sound();
}

// Containers: the process ids of one mean nothing in another, and its host name may be the same.
TEST_F(TablesInUse, RunsInTwoContainersShareATable) {
  const std::vector<std::string> unshare{"--pid", "--fork", "--mount-proc", "--kill-child"};
  {
    const TempFolder output;
    std::vector<std::string> arguments = unshare;
    arguments.emplace_back("/bin/true");
    if (!fs::exists("/usr/bin/unshare") ||
        wait_for(output, start("/usr/bin/unshare", output, arguments)).exit_code != 0)
      GTEST_SKIP() << "needs the right to make namespaces";
  }
  for (const char* moment : {"/logs/", "/shards/", "/manifest/", "/inputs/", "/uses/"}) {
    SCOPED_TRACE(moment);
    fs::remove_all(store_);
    Stopped first(*this, moment);
    std::vector<std::string> arguments = unshare;
    arguments.insert(arguments.end(), {GRAFT_PROGRAM, "run", config_, "--quiet", "--out", folder_ / "other",
                                       "--store", store_});
    const TempFolder output;
    const ProgramResult second = wait_for(output, start("/usr/bin/unshare", output, arguments));
    EXPECT_EQ(second.exit_code, 0) << second.err;
    const ProgramResult r = first.go_on();
    EXPECT_EQ(r.exit_code, 0) << r.err;
    expect_sound();
    EXPECT_EQ(GraftRun::outcome(folder_ / "r"), GraftRun::outcome(folder_ / "other"));
    EXPECT_EQ(run("third").exit_code, 0);
  }
}

TEST_F(TablesInUse, AStoreNeedsNeitherHardLinksNorRenamesThatDoNotReplace) {
  ASSERT_EQ(run("undisturbed").exit_code, 0);
  fs::remove_all(store_);
  const std::vector<std::string> environment = faults(folder_.path(), {"GRAFT_FAULT_NO_LINKS=1"});
  const ProgramResult r = run("r", {}, environment);
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(GraftRun::outcome(folder_ / "r"), GraftRun::outcome(folder_ / "undisturbed"));
  EXPECT_EQ(run("r", {}, environment).exit_code, 0);  // takes the place of the one before
  expect_sound();
  EXPECT_EQ(store({"gc", "--max-size", "0KiB"}, environment).exit_code, 0);
  fs::remove_all(store_);
  const ProgramResult without_locks =
      run("other", {}, faults(folder_.path(), {"GRAFT_FAULT_NO_LINKS=1", "GRAFT_FAULT_FLOCK=95"}));
  EXPECT_EQ(without_locks.exit_code, 1);
  EXPECT_THAT(without_locks.err, HasSubstr("this file system has neither hard links nor locks"));
}

TEST_F(TablesInUse, WhoWaitsForATableSaysSo) {
  ASSERT_EQ(run().exit_code, 0);
  const fs::path table = tables().at(0);
  std::ofstream(table / "shards/half.h5.tmp") << "half";
  Stopped gc(*this, "/shards/half.h5.tmp", {"store", "gc", "--store", store_}, {});
  const TempFolder output;
  const pid_t waiting = start_program(output, {"run", config_, "--quiet", "--out", folder_ / "r", "--store",
                                               store_, "--set", "run.stall_limit=2"});
  const std::string notice =
      "waiting for " + table.string() + ", which a graft store compact, gc or verify --repair is changing\n";
  for (int i = 0; i < 3000 && slurp(output / "stderr").find(notice) == std::string::npos; ++i)
    ::usleep(20'000);
  EXPECT_EQ(gc.go_on().exit_code, 0);
  const ProgramResult r = wait_for(output, waiting);
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.err, notice);
}

TEST_F(TablesInUse, WhereThereAreNoLocksALeaseHoldsATable) {
  const std::vector<std::string> environment = {"GRAFT_FAULT_FLOCK=95"};  // not supported
  Stopped run(*this, "/predictions/", environment);
  const fs::path table = tables().at(0), leases = table / "leases";
  ASSERT_EQ(std::distance(fs::directory_iterator(leases), {}), 1);
  const auto gc = [&] { return store({"gc", "--unreferenced"}, faults(folder_.path(), environment)).out; };
  EXPECT_THAT(gc(), HasSubstr("left " + table.string() + ": it is in use\n"));
  run.kill();
  EXPECT_THAT(gc(), HasSubstr(": it is in use\n"));  // it may run on another machine
  for (const auto& e : fs::recursive_directory_iterator(table))
    fs::last_write_time(e.path(), fs::file_time_type::clock::now() - std::chrono::minutes(61));
  EXPECT_THAT(gc(), HasSubstr("no run's folder names it any more"));
  EXPECT_TRUE(tables().empty());
}

TEST_F(TablesInUse, SourcesOfSeveralSizesShareATableThatServesEach) {
  std::map<int, std::map<std::string, std::string>> alone;
  for (const int size : {16, 24}) {
    config_ = inputs_.write("config.yaml", config(size));
    ASSERT_EQ(run("alone").exit_code, 0);
    alone[size] = GraftRun::outcome(folder_ / "alone");
    fs::remove_all(store_);
  }
  // One after the other, and at the same time.
  for (const int size : {16, 24, 16}) {
    config_ = inputs_.write("config.yaml", config(size));
    const ProgramResult r = run();
    EXPECT_EQ(r.exit_code, 0) << r.err;
    EXPECT_EQ(GraftRun::outcome(folder_ / "r"), alone[size]);
  }
  EXPECT_EQ(nlohmann::json::parse(slurp(folder_ / "r/results.json"))["tables"]["rows"]["computed"], 0);
  EXPECT_THAT(store({"ls"}).out, HasSubstr("u8[16,16,3], u8[24,24,3]"));
  expect_sound();
  EXPECT_EQ(store({"export", "small/rows", folder_ / "x.npy"}).exit_code, 0);
  fs::remove_all(store_);
  config_ = inputs_.write("config.yaml", config(24));
  Stopped first(*this, "/manifest/");
  config_ = inputs_.write("other.yaml", config(16));
  EXPECT_EQ(run("second").exit_code, 0);
  EXPECT_EQ(first.go_on().exit_code, 0);
  EXPECT_EQ(GraftRun::outcome(folder_ / "second"), alone[16]);
  EXPECT_EQ(GraftRun::outcome(folder_ / "r"), alone[24]);
  expect_sound();
}

}  // namespace
}  // namespace graft::test
