// What graft store gc takes, and what it does not: what is in use, unread or elsewhere does not count as
// gone.

#include <fcntl.h>
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

class GcTest : public TablesInUse {};

// Rows that a failed or an interrupted run has committed are newer than the last complete run.
TEST_F(GcTest, RowsThatAreNewerThanTheLastCompleteRunSurviveGc) {
  ASSERT_EQ(run().exit_code, 0);
  const fs::path file = fs::directory_iterator(tables().at(0) / "uses")->path();
  auto use = nlohmann::json::parse(slurp(file));
  use["time"] = 1000;
  std::ofstream(file) << use.dump();
  EXPECT_EQ(store({"gc", "--older-than", "1h"}).out, "0 B freed\n");
  EXPECT_EQ(tables().size(), 1u);
}

TEST_F(GcTest, ATableOfAJobThatIsNotMergedSurvivesGc) {
  const auto shard = [&](const char* which) {
    return run_program({"run", config_, "--quiet", "--shard", which, "--store", store_}).exit_code;
  };
  ASSERT_EQ(shard("0/2"), 0);
  ASSERT_EQ(shard("1/2"), 0);
  const fs::path table = tables().at(0);
  const ProgramResult gc = store({"gc", "--unreferenced"});
  EXPECT_EQ(gc.exit_code, 0) << gc.err;
  EXPECT_EQ(gc.out,
            "left " + table.string() + ": the job 'small', which is not merged, fills it\n0 B freed\n");
  // A description that cannot be read may be of any table.
  const fs::path description = store_ / "jobs/small/job.json";
  const std::string text = slurp(description);
  std::ofstream(description) << "{";
  EXPECT_THAT(store({"gc", "--unreferenced"}).out,
              HasSubstr("left " + table.string() + ": " + description.string() + ": not the description"));
  std::ofstream(description) << text;
  ASSERT_EQ(run("r", {"--merge"}).exit_code, 0);
  fs::remove_all(folder_ / "r");
  EXPECT_THAT(store({"gc", "--unreferenced"}).out, HasSubstr("no run's folder names it any more"));
}

TEST_F(GcTest, WhatMayNotBeReadIsNotTakenForGone) {
  if (!has_users()) GTEST_SKIP() << "needs setpriv, as root";
  ASSERT_EQ(run("runs/a").exit_code, 0);
  const fs::path table = tables().at(0), uses = table / "uses";
  const fs::path use = fs::directory_iterator(uses)->path();
  const auto before = contents();
  struct Case {
    fs::path closed;
    std::string why;
  };
  for (const Case& each :
       {Case{folder_ / "runs", "whether the run in " + (folder_ / "runs/a").string() + " is there"},
        Case{folder_ / "runs/a/manifest.json", "whether the run in " + (folder_ / "runs/a").string()},
        Case{use, "cannot open " + use.string() + ": Permission denied"},
        Case{uses, "cannot list " + uses.string() + ": Permission denied"},
        Case{table / "manifest", "cannot list " + (table / "manifest").string() + ": Permission denied"}}) {
    SCOPED_TRACE(each.closed.string());
    const fs::perms usual = fs::status(each.closed).permissions();
    fs::permissions(each.closed, fs::perms::none);
    for (const std::vector<std::string>& how : {std::vector<std::string>{"store", "gc", "--unreferenced"},
                                                {"store", "gc"},
                                                {"store", "gc", "--unreferenced", "--dry-run"}}) {
      const ProgramResult gc = as_user(how);
      EXPECT_EQ(gc.exit_code, 0) << gc.err;
      if (how.size() > 2) {
        EXPECT_THAT(gc.out, HasSubstr("left " + table.string() + ": " + each.why));
      }
    }
    fs::permissions(each.closed, usual);
    EXPECT_EQ(contents(), before);
  }
  // Of a use that is damaged it is not known which list it named.
  const std::string text = slurp(use);
  std::ofstream(use) << "{";
  EXPECT_THAT(store({"gc", "--unreferenced"}).out,
              HasSubstr("left " + table.string() + ": " + use.string() +
                        " is damaged; graft store verify --repair removes it\n"));
  std::ofstream(use) << text;
  EXPECT_EQ(contents(), before);
}

// Others share a store; one of them may have closed a table.
TEST_F(GcTest, AClosedTableStopsNobody) {
  if (!has_users()) GTEST_SKIP() << "needs setpriv, as root";
  ASSERT_EQ(run().exit_code, 0);
  const fs::path closed = tables().at(0);
  inputs_.write("config.yaml", other_config());
  ASSERT_EQ(run("o").exit_code, 0);
  const fs::perms usual = fs::status(closed).permissions();
  fs::permissions(closed, fs::perms::none);
  const auto cannot_list = [&](const char* name) {
    return "cannot list " + (closed / name).string() + ": Permission denied";
  };
  const ProgramResult ls = as_user({"store", "ls"});
  EXPECT_EQ(ls.exit_code, 0) << ls.err;
  EXPECT_THAT(ls.out,
              AllOf(HasSubstr(cannot_list("logs")), HasSubstr("other/rows"), HasSubstr("2 tables, ")));
  const ProgramResult gc = as_user({"store", "gc", "--max-size", "0KiB"});
  EXPECT_EQ(gc.exit_code, 0) << gc.err;
  EXPECT_THAT(gc.out, AllOf(HasSubstr("left " + closed.string() + ": " + cannot_list("logs")),
                            HasSubstr("removed ")));
  EXPECT_EQ(tables(), std::vector{closed});
  const ProgramResult another = as_user({"run", config_, "--quiet", "--out", folder_ / "n"});
  EXPECT_EQ(another.exit_code, 0) << another.err;
  const ProgramResult verified = as_user({"store", "verify"});
  EXPECT_EQ(verified.exit_code, 1);
  EXPECT_THAT(verified.out, AllOf(HasSubstr(cannot_list("manifest")), HasSubstr("other/rows: ")));
  EXPECT_THAT(as_user({"store", "compact"}).out,
              HasSubstr(": it is in use, or this user may not open its lock\n"));
  EXPECT_EQ(as_user({"store", "export", "other/rows", folder_ / "x.npy"}).exit_code, 0);
  fs::permissions(closed, usual);
}

// Earlier runs lie beside what the link leads to.
TEST_F(GcTest, ATableOfAnEarlierRunBehindALinkSurvivesGc) {
  fs::create_directories(folder_ / "real/out");
  fs::create_directory_symlink("real/out", folder_ / "r");
  ASSERT_EQ(run().exit_code, 0);
  const fs::path first = tables().at(0);
  inputs_.write("config.yaml", other_config());
  ASSERT_EQ(run().exit_code, 0);
  ASSERT_TRUE(fs::exists(folder_ / "real/out.1"));
  EXPECT_EQ(store({"gc", "--unreferenced"}).exit_code, 0);
  EXPECT_TRUE(fs::exists(first));
  fs::remove_all(folder_ / "real/out.1");
  EXPECT_EQ(store({"gc", "--unreferenced"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(first));
}

// As in a container that has the store, and where a disk is not mounted.
TEST_F(GcTest, ATableOfARunOnADiskThatIsNotThereSurvivesGc) {
  ASSERT_EQ(run("runs/a").exit_code, 0);
  const fs::path file = fs::directory_iterator(tables().at(0) / "uses")->path();
  const auto noted = nlohmann::json::parse(slurp(file));
  fs::remove_all(folder_ / "runs");
  const auto expect_kept_when = [&](const char* key, const fs::path& value) {
    auto elsewhere = noted;
    elsewhere[key] = value.string();
    std::ofstream(file) << elsewhere.dump();
    EXPECT_EQ(store({"gc", "--unreferenced"}).out,
              "left " + tables().at(0).string() + ": whether the run in " +
                  elsewhere["folder"].get<std::string>() + " is there cannot be seen from here\n0 B freed\n");
  };
  expect_kept_when("mount", folder_ / "disk");
  fs::create_directory(folder_ / "disk");
  expect_kept_when("mount", folder_ / "disk");
  expect_kept_when("folder", folder_ / "another/project/runs/a");
  std::ofstream(file) << noted.dump();
  EXPECT_THAT(store({"gc", "--unreferenced"}).out, HasSubstr("no run's folder names it any more"));
}

TEST_F(GcTest, GcRemovesWhatKilledProcessesHaveLeftOfJobsAndOfTheMemo) {
  fs::create_directories(store_ / "jobs/.small.host.boot.0123/claims");
  std::ofstream(store_ / "jobs/.small.lock") << "";
  std::ofstream(store_ / "digests.memo.host.boot.0123.tmp") << "half";
  std::ofstream(store_ / "digests.memo.host.boot.4567.tmp") << "half";
  fs::last_write_time(store_ / "digests.memo.host.boot.4567.tmp",
                      fs::file_time_type::clock::now() - std::chrono::minutes(61));
  EXPECT_EQ(store({"gc"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(store_ / "jobs/.small.host.boot.0123"));
  EXPECT_TRUE(fs::exists(store_ / "jobs/.small.lock"));
  EXPECT_TRUE(fs::exists(store_ / "digests.memo.host.boot.0123.tmp")) << "somebody may be writing it";
  EXPECT_FALSE(fs::exists(store_ / "digests.memo.host.boot.4567.tmp"));
}

TEST_F(GcTest, SeveralGcsAtOnceTakeEachTableAwayOnce) {
  constexpr int kTables = 6, kGcs = 4;
  for (int i = 0; i < kTables; ++i) {
    std::string text = config(16);
    text.replace(text.find("from: images"), 12, "from: small");
    config_ = inputs_.write("config.yaml",
                            text + "  small: {plugin: resize, from: images, with: {resize: 16, crop: " +
                                std::to_string(8 + i) + "}}\n");
    ASSERT_EQ(run().exit_code, 0);
  }
  const std::set<fs::path> before = [&] {
    const auto all = tables();
    return std::set<fs::path>(all.begin(), all.end());
  }();
  ASSERT_EQ(before.size(), kTables);
  std::vector<TempFolder> outputs(kGcs);
  std::vector<pid_t> pids;
  for (const TempFolder& output : outputs)
    pids.push_back(start_program(output, {"store", "gc", "--max-size", "0KiB", "--store", store_}));
  std::multiset<fs::path> removed;
  for (int i = 0; i < kGcs; ++i) {
    const ProgramResult r = wait_for(outputs[static_cast<std::size_t>(i)], pids[static_cast<std::size_t>(i)]);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    for (const fs::path& table : before)
      if (r.out.find("removed " + table.string() + " (") != std::string::npos) removed.insert(table);
  }
  EXPECT_EQ(removed, std::multiset<fs::path>(before.begin(), before.end()));
  EXPECT_TRUE(tables().empty());
}

TEST_F(GcTest, AGcThatWasKilledIsFinishedByTheNext) {
  ASSERT_EQ(run().exit_code, 0);
  Stopped gc(*this, "/trash/", {"store", "gc", "--max-size", "0KiB", "--store", store_}, {});
  gc.kill();
  EXPECT_EQ(store({"gc", "--max-size", "0KiB"}).exit_code, 0);
  EXPECT_TRUE(tables().empty());
  for (const auto& e : fs::directory_iterator(store_ / "trash")) EXPECT_EQ(e.path().filename(), "lock");
}

// gc has listed the tables when a run uses one for the first time, in the second of its newest file.
TEST_F(GcTest, ATableThatIsUsedWhileGcIsAtWorkSurvives) {
  ASSERT_EQ(run().exit_code, 0);
  const fs::path first = tables().at(0);
  inputs_.write("config.yaml", other_config());
  ASSERT_EQ(run("o").exit_code, 0);
  const fs::path second = tables().at(0) == first ? tables().at(1) : tables().at(0);
  fs::remove_all(folder_ / "r");
  fs::remove_all(folder_ / "o");
  fs::remove_all(first / "uses");
  fs::remove_all(second / "uses");
  const auto set_times = [](const fs::path& table, std::int64_t time) {
    for (const auto& e : fs::recursive_directory_iterator(table)) {
      const timespec times[2] = {{time, 0}, {time, 0}};
      ASSERT_EQ(::utimensat(AT_FDCWD, e.path().c_str(), times, 0), 0);
    }
  };
  set_times(first, 1000);  // the first to go
  set_times(second, 2000);
  Stopped gc(*this, "/tables/" + first.filename().string(),
             {"store", "gc", "--unreferenced", "--store", store_}, {});
  ASSERT_EQ(run("o").exit_code, 0);
  const fs::path file = fs::directory_iterator(second / "uses")->path();
  auto use = nlohmann::json::parse(slurp(file));
  use["time"] = 2000;
  std::ofstream(file) << use.dump();
  const ProgramResult collected = gc.go_on();
  EXPECT_EQ(collected.exit_code, 0) << collected.err;
  EXPECT_THAT(collected.out, HasSubstr("left " + second.string() + ": it is in use\n"));
  EXPECT_EQ(tables(), std::vector{second});
  ASSERT_EQ(run("o").exit_code, 0);
  EXPECT_EQ(nlohmann::json::parse(slurp(folder_ / "o/results.json"))["tables"]["rows"]["computed"], 0);
}

// Two runs of different configs share a folder: the one before is in `r.1`, or on its way there.
TEST_F(GcTest, ATableOfAnEarlierRunThatIsJustBeingReplacedSurvivesGc) {
  ASSERT_EQ(run().exit_code, 0);
  const fs::path first = tables().at(0);
  inputs_.write("config.yaml", other_config());
  Stopped other(*this, folder_ / "r.1");
  EXPECT_FALSE(fs::exists(folder_ / "r.1"));
  EXPECT_EQ(store({"gc", "--unreferenced"}).exit_code, 0);
  EXPECT_TRUE(fs::exists(first));
  EXPECT_EQ(other.go_on().exit_code, 0);
  fs::rename(folder_ / "r.1", folder_ / "r.7");  // not all numbers need be there
  EXPECT_EQ(store({"gc", "--unreferenced"}).exit_code, 0);
  EXPECT_TRUE(fs::exists(first));
}

TEST_F(GcTest, AShardWhoseEntryANetworkFileSystemDoesNotShowYetIsNoLeftover) {
  const Fill fill{.rows = 300, .per_shard = 100};
  ASSERT_EQ(run_fill(store_, fill).exit_code, 0);
  const fs::path table = tables().at(0), entry = table / "manifest/00000001";
  const auto shards = [&] { return std::distance(fs::directory_iterator(table / "shards"), {}); };
  fs::rename(entry, folder_ / "late");
  const std::vector<std::string> network = faults(folder_.path(), {"GRAFT_FAULT_NETWORK=1"});
  EXPECT_EQ(run_fill(store_, fill, network).pushed, 100) << "they are computed again";
  EXPECT_EQ(shards(), 4) << "the one without an entry may have one";
  // After an hour it would be seen.
  for (const auto& e : fs::directory_iterator(table / "shards"))
    fs::last_write_time(e.path(), fs::file_time_type::clock::now() - std::chrono::minutes(61));
  EXPECT_EQ(run_fill(store_, fill, network).pushed, 0);
  EXPECT_EQ(shards(), 3);
}

// Where there are no locks, gc can only look for leases, before it takes the table and after.
TEST_F(GcTest, ALeaseThatComesAtTheLastMomentBringsTheTableBack) {
  ASSERT_EQ(run().exit_code, 0);
  ASSERT_EQ(store({"gc"}).exit_code, 0);  // makes the trash
  const fs::path table = tables().at(0);
  Stopped gc(*this, "/trash/", {"store", "gc", "--max-size", "0KiB", "--store", store_},
             {"GRAFT_FAULT_FLOCK=95"});
  EXPECT_TRUE(fs::exists(table));
  fs::create_directory(table / "leases");
  std::ofstream(table / "leases/other.host.0123.lease") << "";
  const ProgramResult collected = gc.go_on();
  EXPECT_EQ(collected.exit_code, 0) << collected.err;
  EXPECT_EQ(collected.out, "left " + table.string() + ": it is in use\n0 B freed\n");
  EXPECT_TRUE(fs::exists(table / "leases/other.host.0123.lease"));
  expect_sound();
}

TEST_F(GcTest, ATableThatIsBeingExportedStays) {
  ASSERT_EQ(run().exit_code, 0);
  Stopped exporting(*this, "/x.", {"store", "export", "small/rows", folder_ / "x.h5", "--store", store_}, {});
  EXPECT_THAT(store({"gc", "--max-size", "0KiB"}).out, HasSubstr(": it is in use\n"));
  EXPECT_EQ(exporting.go_on().exit_code, 0);
}

}  // namespace
}  // namespace graft::test
