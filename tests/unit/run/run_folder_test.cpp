#include "run/run_folder.h"

#include <sys/file.h>

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/error.h>
#include <graft/value.h>

#include "temp_folder.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RunFolderTest : public ::testing::Test {
 protected:
  fs::path place() const { return folder_ / "runs/x"; }

  std::unique_ptr<RunFolder> start(std::size_t keep = 1, bool chosen = false) const {
    return std::make_unique<RunFolder>(place(),
                                       RunFolder::Options{keep, chosen, folder_ / "store", {"net", "probe"}});
  }
  static void write(const fs::path& file, const std::string& content) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << content;
  }
  static void fill(const RunFolder& run, const std::string& content) {
    Value manifest = Value::map();
    manifest["graft"] = "1";
    manifest["folder"] = run.name();
    manifest["attempt"] = run.attempt();
    write(run.path() / "manifest.json", manifest.to_json());
    write(run.path() / "results.json", content);
  }
  void complete(const std::string& content, std::size_t keep = 1) const {
    const auto run = start(keep);
    fill(*run, content);
    run->complete();
  }
  static void fail(RunFolder& run, const std::string& content, const std::string& suffix = "failed") {
    Value status = Value::map();
    status["folder"] = run.name();
    write(run.path() / "status.json", status.to_json());
    write(run.path() / "log.txt", content);
    run.set_aside(suffix);
  }
  std::string results(const std::string& name) const {
    return test::slurp(folder_ / "runs" / name / "results.json");
  }
  /// Names beside the place, with what results.json says.
  std::vector<std::string> runs() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder_ / "runs")) {
      const std::string name = entry.path().filename().string();
      out.push_back(name + " " + results(name));
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  static std::string error_of(const std::function<void()>& body) {
    try {
      body();
    } catch (const Error& e) {
      return e.what();
    }
    return {};
  }

  test::TempFolder folder_;
};

TEST_F(RunFolderTest, TheLatestCompleteRunIsAtThePlaceAndThoseBeforeAreNumbered) {
  complete("a");
  EXPECT_THAT(runs(), ElementsAre("x a"));
  complete("b");
  complete("c");
  EXPECT_THAT(runs(), ElementsAre("x c", "x.1 b"));
  complete("d", 3);
  complete("e", 3);
  EXPECT_THAT(runs(), ElementsAre("x e", "x.1 d", "x.2 c", "x.3 b"));
  complete("f", 2);
  EXPECT_THAT(runs(), ElementsAre("x f", "x.1 e", "x.2 d"));
  complete("g", 0);
  EXPECT_THAT(runs(), ElementsAre("x g"));
}

TEST_F(RunFolderTest, ARunThatIsGoingOnHasChangedNothing) {
  complete("a");
  const auto run = start();
  fill(*run, "b");
  EXPECT_EQ(results("x"), "a");
  EXPECT_EQ(run->place(), place());
  EXPECT_THAT(run->path().filename().string(), ::testing::StartsWith(".x.run-"));
}

TEST_F(RunFolderTest, OfSeveralRunsAtOnceTheLastToEndIsAtThePlace) {
  const auto a = start(2), b = start(2), c = start(2);
  fill(*a, "a");
  fill(*b, "b");
  fill(*c, "c");
  b->complete();
  c->complete();
  a->complete();
  EXPECT_THAT(runs(), ElementsAre("x a", "x.1 c", "x.2 b"));
}

TEST_F(RunFolderTest, AFailedRunStandsBesideTheCompleteOne) {
  complete("a");
  auto run = start();
  EXPECT_EQ(run->failed_place(), folder_ / "runs/x.failed");
  fail(*run, "first");
  EXPECT_THAT(runs(), ElementsAre("x a", "x.failed "));
  run = start();
  fail(*run, "second");
  EXPECT_THAT(runs(), ElementsAre("x a", "x.failed "));
  EXPECT_EQ(test::slurp(folder_ / "runs/x.failed/log.txt"), "second");
  write(folder_ / "runs/x.failed/notes.txt", "mine");
  run = start();
  fail(*run, "third");
  EXPECT_EQ(run->path(), folder_ / "runs/x.failed.1") << "somebody's notes are in the way";
  EXPECT_EQ(test::slurp(folder_ / "runs/x.failed/notes.txt"), "mine");
}

TEST_F(RunFolderTest, CheckpointsGoOnFromWhateverIsThere) {
  const auto work = [&](const std::string& name) {
    return folder_ / "runs" / name / "work/net/checkpoint.bin";
  };
  auto run = start();
  write(run->path() / "work/net/checkpoint.bin", "one");
  write(run->path() / "work/gone/checkpoint.bin", "of a stage that is no more");
  fail(*run, "cut", "interrupted");
  run.reset();
  run = start();
  EXPECT_EQ(test::slurp(run->path() / "work/net/checkpoint.bin"), "one");
  EXPECT_FALSE(fs::exists(run->path() / "work/gone"));
  EXPECT_TRUE(fs::exists(folder_ / "runs/x.interrupted/work/gone/checkpoint.bin"));
  fail(*run, "failed");
  run.reset();
  run = start();
  EXPECT_EQ(test::slurp(run->path() / "work/net/checkpoint.bin"), "one");
  EXPECT_TRUE(fs::exists(folder_ / "runs/x.failed/log.txt"));
  run.reset();  // as if it had been killed: nobody holds its lock
  run = start();
  EXPECT_EQ(test::slurp(run->path() / "work/net/checkpoint.bin"), "one");
  fill(*run, "a");
  run->complete();
  EXPECT_EQ(test::slurp(work("x")), "one");
  run = start();
  EXPECT_EQ(test::slurp(run->path() / "work/net/checkpoint.bin"), "one");
  EXPECT_EQ(test::slurp(work("x")), "one") << "the complete run keeps its own";
  fs::remove(run->path() / "work/net/checkpoint.bin");
  write(run->path() / "work/net/checkpoint.bin", "two");
  EXPECT_EQ(test::slurp(work("x")), "one");
}

TEST_F(RunFolderTest, WhatDeadRunsLeftIsCleanedUpAndWhatLivingRunsDoIsLeft) {
  complete("a");
  fs::path dead;
  {
    const auto run = start();
    dead = run->path();
    write(dead / "results.json", "half");
  }
  const auto living = start();
  EXPECT_FALSE(fs::exists(dead));
  fill(*living, "b");
  const auto other = start();
  EXPECT_TRUE(fs::exists(living->path()));
  living->complete();
  fill(*other, "c");
  other->complete();
  EXPECT_THAT(runs(), ElementsAre("x c", "x.1 b"));
}

TEST_F(RunFolderTest, TheLogOfARunThatDiedIsKeptAsThatOfAFailedOne) {
  complete("a");
  const auto die = [&](const std::string& log) {
    const auto run = start();
    write(run->path() / "log.txt", log);
    return run->path() / "log.txt";
  };
  const auto log = [&] { return test::slurp(folder_ / "runs/x.failed/log.txt"); };
  die("one");
  die("two");
  start();
  EXPECT_EQ(log(), "two");
  EXPECT_EQ(results("x"), "a");
  EXPECT_THAT(test::slurp(folder_ / "runs/x.failed/status.json"),
              HasSubstr("a crash, a kill or a power cut"));
  // A run that failed after it is the later one.
  const fs::path dead = die("three");
  const auto before = fs::last_write_time(folder_ / "runs/x.failed/log.txt") - std::chrono::hours(1);
  fs::last_write_time(dead, before);
  start();
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_EQ(log(), "two");
  // What another has put there is not touched.
  write(folder_ / "runs/x.failed/notes.txt", "mine");
  die("four");
  start();
  EXPECT_EQ(log(), "two");
  EXPECT_EQ(test::slurp(folder_ / "runs/x.failed.1/log.txt"), "four");
}

TEST_F(RunFolderTest, ARunThatHangsIsSetAsideFromAnotherThreadAndCannotBeCompleteAnyMore) {
  complete("a");
  const auto run = start();
  write(run->path() / "log.txt", "hung");
  fill(*run, "b");
  std::thread([&] {
    EXPECT_EQ(run->abandon("failed", "{\"folder\": \"x\"}"), folder_ / "runs/x.failed");
  }).join();
  EXPECT_THAT(error_of([&] { run->complete(); }), HasSubstr("the run was ended before it was complete"));
  run->set_aside("failed");
  EXPECT_THAT(runs(), ElementsAre("x a", "x.failed b"));
  EXPECT_EQ(test::slurp(folder_ / "runs/x.failed/log.txt"), "hung");
}

TEST_F(RunFolderTest, FailedRunsDoNotPileUpWhereTheirStatusCouldNotBeWritten) {
  for (int i = 0; i < 3; ++i) {
    const auto run = start();
    write(run->path() / "log.txt", std::to_string(i));
    run->set_aside("failed");
  }
  EXPECT_THAT(runs(), ElementsAre("x.failed "));
  EXPECT_EQ(test::slurp(folder_ / "runs/x.failed/log.txt"), "2");
}

TEST_F(RunFolderTest, AKillBetweenTheRenamesIsMadeGood) {
  // Names could be exchanged, and the process died before the former run had its number.
  complete("a");
  {
    const auto run = start();
    fill(*run, "b");
    fs::rename(place(), folder_ / "runs/former");
    fs::rename(run->path(), place());
    fs::rename(folder_ / "runs/former", run->path());
  }
  start();
  start();  // the first start's own folder goes
  EXPECT_EQ(results("x"), "b");
  EXPECT_EQ(results("x.1"), "a");
  // Names could not be exchanged, and the process died between its two renames.
  fs::rename(place(), folder_ / "runs/.x.run-h.1.2.3.replaced");
  start();
  EXPECT_EQ(results("x"), "b");
  EXPECT_EQ(results("x.1"), "a");
  // The same, after the second.
  fs::rename(place(), folder_ / "runs/.x.run-h.1.2.3.replaced");
  complete("c");
  EXPECT_EQ(results("x"), "c");
  EXPECT_EQ(results("x.1"), "b");
  // Half removed.
  write(folder_ / "runs/.x.run-h.1.2.3.trash/manifest.json", "{}");
  complete("d");
  EXPECT_THAT(runs(), ElementsAre("x d", "x.1 c"));
}

TEST_F(RunFolderTest, FilesThatGraftDidNotWriteAreNeverRemoved) {
  complete("a");
  write(place() / "notes.txt", "mine");
  complete("b");
  EXPECT_EQ(test::slurp(folder_ / "runs/x.1/notes.txt"), "mine") << "they stay with their run";
  complete("c");
  complete("d");
  EXPECT_THAT(runs(), ElementsAre("x d", "x.1 a", "x.2 c")) << "and their run stays";
  complete("e", 0);
  EXPECT_THAT(runs(), ElementsAre("x e", "x.1 a"));
  write(place() / "notes.txt", "more");
  complete("f", 0);
  EXPECT_THAT(runs(), ElementsAre("x f", "x.1 a", "x.2 e"));
}

TEST_F(RunFolderTest, ANumberedFolderOfAnotherPlaceIsLeftAlone) {
  complete("a");
  {
    RunFolder other(folder_ / "runs/x.1", {1, true, folder_ / "store", {}});
    fill(other, "other");
    other.complete();
  }
  complete("b");
  complete("c");
  EXPECT_THAT(runs(), ElementsAre("x c", "x.1 other", "x.2 b"));
}

TEST_F(RunFolderTest, APlaceThatIsNotForRunsIsRefused) {
  const auto refused = [&](const fs::path& at, bool chosen = true) {
    return error_of([&] { RunFolder(at, {1, chosen, folder_ / "runs/y/store", {}}); });
  };
  write(folder_ / "runs/notes/a.txt", "");
  EXPECT_EQ(refused(folder_ / "runs/notes"),
            (folder_ / "runs/notes").string() +
                " contains files that graft did not write (a.txt): choose a new or an empty "
                "folder with --out, or move them away");
  write(folder_ / "runs/mine/config.yaml", "");
  EXPECT_THAT(refused(folder_ / "runs/mine"), HasSubstr("(config.yaml)")) << "a config that the user wrote";
  EXPECT_EQ(refused(folder_ / "runs/mine", false), "") << "runs/<name> is graft's own";
  write(folder_ / "runs/file", "");
  EXPECT_THAT(refused(folder_ / "runs/file"), HasSubstr("is not a folder"));
  EXPECT_THAT(refused(folder_ / "runs/y"), HasSubstr("in which the store")) << "before either is there";
  fs::create_directories(folder_ / "runs/y/store");
  EXPECT_THAT(refused(folder_ / "runs/y"), HasSubstr("in which the store"));
  EXPECT_THAT(refused(fs::current_path()), HasSubstr("which is the working directory"));
  for (const char* name : {".", "..", "/", ""}) EXPECT_NE(refused(name), "") << name;
  EXPECT_EQ(refused((folder_ / "runs/new").string() + "/"), "");
}

TEST_F(RunFolderTest, BehindALinkTheFolderItselfIsReplaced) {
  fs::create_directories(folder_ / "disk/real");
  fs::create_directories(folder_ / "runs");
  fs::create_directory_symlink(folder_ / "disk/real", place());
  complete("a");
  complete("b");
  EXPECT_TRUE(fs::is_symlink(place()));
  EXPECT_EQ(results("x"), "b");
  EXPECT_EQ(test::slurp(folder_ / "disk/real.1/results.json"), "a");
}

}  // namespace
}  // namespace graft
