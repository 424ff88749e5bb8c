// What somebody uses stays as it is: gc and repair beside running jobs, several gcs at once, containers,
// users who may not read everything, file systems without links or locks, sources of several image sizes.

#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <set>

#include "graft_run.h"
#include "store_faults.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class TablesInUse : public StoreFaults {
 protected:
  /// A run that stops itself before it first changes a path that contains `text`.
  class Stopped {
   public:
    Stopped(const TablesInUse& test, const std::string& text, std::vector<std::string> environment = {})
        : Stopped(test, text,
                  {"run", test.config_, "--quiet", "--out", test.folder_ / "r", "--store", test.store_},
                  std::move(environment)) {}
    Stopped(const TablesInUse& test, const std::string& text, const std::vector<std::string>& arguments,
            std::vector<std::string> environment) {
      environment.push_back("GRAFT_FAULT_STOP=" + text);
      pid_ = start_program(output_, arguments, {}, faults(test.folder_.path(), environment));
      int status = 0;
      EXPECT_EQ(::waitpid(pid_, &status, WUNTRACED), pid_);
      stopped_ = WIFSTOPPED(status);
      EXPECT_TRUE(stopped_) << slurp(output_ / "stderr");
    }
    ProgramResult go_on() {
      if (stopped_) ::kill(pid_, SIGCONT);
      return end();
    }
    ProgramResult kill() {
      ::kill(pid_, SIGKILL);
      return end();
    }
    ~Stopped() {
      if (stopped_) kill();
    }

   private:
    ProgramResult end() {
      stopped_ = false;
      return wait_for(output_, pid_);
    }
    TempFolder output_;
    pid_t pid_ = -1;
    bool stopped_ = false;
  };

  TablesInUse() { config_ = inputs_.write("config.yaml", config(16)); }
  static std::string config(int size, const std::string& name = "small") {
    return "name: " + name +
           "\n"
           "run: {threads: 2}\n"
           "stages:\n"
           "  images: {plugin: synthetic, with: {task: target, size: " +
           std::to_string(size) +
           ", train: 60, val: 30, test: 30}}\n"
           "  rows: {plugin: pixel_table, from: images}\n"
           "  near: {plugin: prototypes, from: rows}\n"
           "  report: {plugin: evaluate, from: near}\n";
  }
  /// With a table of its own.
  static std::string other_config() {
    return "name: other\n"
           "run: {threads: 2}\n"
           "stages:\n"
           "  images: {plugin: synthetic, with: {task: target, size: 16, train: 60, val: 30, test: 30}}\n"
           "  changed: {plugin: augment, from: images}\n"
           "  rows: {plugin: pixel_table, from: changed}\n"
           "  near: {plugin: prototypes, from: rows}\n"
           "  report: {plugin: evaluate, from: near}\n";
  }
  ProgramResult run(const std::string& out = "r", const std::vector<std::string>& more = {},
                    const std::vector<std::string>& environment = {}) const {
    std::vector<std::string> arguments{"run", config_, "--quiet", "--out", folder_ / out, "--store", store_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, {}, environment);
  }
  ProgramResult store(std::vector<std::string> arguments,
                      const std::vector<std::string>& environment = {}) const {
    arguments.insert(arguments.begin(), "store");
    arguments.insert(arguments.end(), {"--store", store_});
    return run_program(arguments, {}, environment);
  }
  std::vector<fs::path> tables() const {
    std::vector<fs::path> out;
    for (const auto& e : fs::directory_iterator(store_ / "tables")) out.push_back(e.path());
    return out;
  }
  /// All files of the tables, by their paths in the store, but the locks.
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> out;
    for (const auto& e : fs::recursive_directory_iterator(store_ / "tables"))
      if (e.is_regular_file() && e.path().filename() != "lock")
        out[fs::relative(e.path(), store_).string()] = slurp(e.path());
    return out;
  }
  void expect_sound() const {
    const ProgramResult verified = store({"verify"});
    EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
  }

  TempFolder inputs_;
  std::string config_;
  const fs::path store_ = folder_ / "s";
};

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

// gc has listed the tables when a run uses one for the first time, in the second of its newest file.
TEST_F(TablesInUse, ATableThatIsUsedWhileGcIsAtWorkSurvives) {
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
TEST_F(TablesInUse, ATableOfAnEarlierRunThatIsJustBeingReplacedSurvivesGc) {
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
  const bool root = ::geteuid() == 0;
  if (root && !fs::exists("/usr/bin/setpriv")) GTEST_SKIP() << "needs setpriv, as root";
  ASSERT_EQ(run().exit_code, 0);
  const fs::path table = tables().at(0);
  const auto before = contents();
  // Root without the right to read what it may not read.
  const auto repair = [&] {
    std::vector<std::string> arguments{"store", "verify", "--repair", "--store", store_};
    if (!root) return run_program(arguments);
    arguments.insert(arguments.begin(), {"--bounding-set", "-dac_override,-dac_read_search", "--inh-caps",
                                         "-all", GRAFT_PROGRAM});
    const TempFolder output;
    return wait_for(output, start("/usr/bin/setpriv", output, arguments));
  };
  int files = 0;
  for (const char* folder : {"shards", "manifest", "inputs", "uses", ""})
    for (const auto& e : fs::directory_iterator(table / folder)) {
      if (!e.is_regular_file()) continue;
      SCOPED_TRACE(e.path().string());
      fs::permissions(e.path(), fs::perms::none);
      const ProgramResult r = repair();
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
  const bool root = ::geteuid() == 0;
  if (root && !fs::exists("/usr/bin/setpriv")) GTEST_SKIP() << "needs setpriv, as root";
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
  for (std::vector<std::string> arguments :
       {std::vector<std::string>{"store", "verify", "--repair"}, {"store", "gc", "--unreferenced"}}) {
    arguments.insert(arguments.end(), {"--store", store_});
    if (root)
      arguments.insert(arguments.begin(), {"--bounding-set", "-dac_override,-dac_read_search", "--inh-caps",
                                           "-all", GRAFT_PROGRAM});
    const TempFolder output;
    const ProgramResult r =
        wait_for(output, start(root ? "/usr/bin/setpriv" : GRAFT_PROGRAM, output, arguments));
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

TEST_F(TablesInUse, SeveralGcsAtOnceTakeEachTableAwayOnce) {
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

TEST_F(TablesInUse, AGcThatWasKilledIsFinishedByTheNext) {
  ASSERT_EQ(run().exit_code, 0);
  Stopped gc(*this, "/trash/", {"store", "gc", "--max-size", "0KiB", "--store", store_}, {});
  gc.kill();
  EXPECT_EQ(store({"gc", "--max-size", "0KiB"}).exit_code, 0);
  EXPECT_TRUE(tables().empty());
  for (const auto& e : fs::directory_iterator(store_ / "trash")) EXPECT_EQ(e.path().filename(), "lock");
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
