// graft launch: local processes that are killed, and what the other engines are given.

#include <signal.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include <nlohmann/json.hpp>

#include "program.h"
#include "small_job.h"
#include "store/job_folder.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class LaunchTest : public ::testing::Test {
 protected:
  LaunchTest() { folder_.write("config.yaml", kSmallJob); }

  std::vector<std::string> words(const std::string& command, const std::string& out,
                                 const std::vector<std::string>& more) const {
    std::vector<std::string> all{command,       folder_ / "config.yaml", "--store",
                                 folder_ / "s", "--plugin-dir",          GRAFT_TEST_PLUGINS};
    if (!out.empty()) all.insert(all.end(), {"--out", folder_ / out});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  ProgramResult launch(const std::string& out, const std::vector<std::string>& more,
                       const std::vector<std::string>& environment = {}) const {
    return run_program(words("launch", out, more), folder_.path(), environment);
  }
  json status() const {
    return json::parse(run_program({"status", "small", "--store", folder_ / "s", "--json"}).out, nullptr,
                       false);
  }
  bool every_worker_has_finished(int inputs) const {
    const json now = status();
    if (!now.is_object() || !now.contains("workers") || now["workers"].size() < 2) return false;
    for (const json& worker : now["workers"])
      if (worker["alive"] != true || worker["finished"] < inputs) return false;
    return true;
  }
  template <typename Condition>
  static void wait_until(const Condition& holds) {
    for (int i = 0; i < 1200 && !holds(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  void expect_same_as_single(const std::string& out) {
    if (!std::filesystem::exists(folder_ / "single")) {
      const ProgramResult r =
          run_program({"run", folder_ / "config.yaml", "--store", folder_ / "single_store", "--plugin-dir",
                       GRAFT_TEST_PLUGINS, "--out", folder_ / "single", "-q"});
      ASSERT_EQ(r.exit_code, 0) << r.err;
    }
    for (const char* file : {"predictions/knn.csv", "inputs.csv"})
      EXPECT_TRUE(slurp(folder_ / out / file) == slurp(folder_ / "single" / file)) << file;
  }

  TempFolder folder_;
};

TEST_F(LaunchTest, LocalProcessesAndTheirMerge) {
  const ProgramResult r = launch("r", {"--tasks", "3", "--cpus", "1"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.err, HasSubstr("starting 3 workers, 1 processor each: shards 0-2 of 3\n"));
  EXPECT_THAT(r.out, HasSubstr("inputs   120 of 120 ok\n"));
  expect_same_as_single("r");
  EXPECT_EQ(status()["state"], "done");
  EXPECT_EQ(status()["merged"], (folder_ / "r").string());
  // Again: there is nothing to compute, so nothing is started.
  const ProgramResult again = launch("again", {"--tasks", "3"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.err, Not(HasSubstr("starting")));
  expect_same_as_single("again");
}

TEST_F(LaunchTest, OnlyShardsThatLackRowsAreStarted) {
  ASSERT_EQ(run_program(words("run", "", {"--shard", "1/3", "-q"})).exit_code, 0);
  const ProgramResult r = launch("r", {"--tasks", "3"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.err, HasSubstr("shards 0,2 of 3\n"));
  expect_same_as_single("r");
}

TEST_F(LaunchTest, AKilledProcessIsStartedAgain) {
  const TempFolder output;
  const pid_t launcher = start_program(
      output, words("launch", "r", {"--tasks", "2", "--json", "--set", "nap.seconds=0.1"}), folder_.path());
  bool killed = false;
  for (int i = 0; i < 600 && !killed; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const json now = status();
    if (!now.is_object() || !now.contains("workers")) continue;
    for (const json& worker : now["workers"])
      if (!killed && worker["alive"] == true && worker["finished"] > 2)
        killed = ::kill(worker["process"].get<pid_t>(), SIGKILL) == 0;
  }
  ASSERT_TRUE(killed);
  const ProgramResult r = wait_for(output, launcher);
  EXPECT_EQ(r.exit_code, 0) << r.err;
  const json document = json::parse(r.out);
  EXPECT_EQ(document["restarts"], 1);
  EXPECT_EQ(document["run"]["inputs"]["ok"], 120);
  expect_same_as_single("r");
}

TEST_F(LaunchTest, AnInterruptionReachesEveryProcess) {
  const TempFolder output;
  const pid_t launcher = start_program(
      output, words("launch", "r", {"--tasks", "2", "--set", "nap.seconds=0.2"}), folder_.path());
  for (int i = 0; i < 600; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const json now = status();
    if (now.is_object() && now.contains("workers") && now["inputs"]["finished"] > 4) break;
  }
  ::kill(launcher, SIGTERM);
  const ProgramResult r = wait_for(output, launcher);
  EXPECT_EQ(r.exit_code, 143);
  EXPECT_THAT(r.err, HasSubstr("interrupted; what was finished is saved\nresume with: "));
  const json stuck = status();
  EXPECT_EQ(stuck["state"], "incomplete");
  const ProgramResult text = run_program({"status", "small", "--store", folder_ / "s"});
  EXPECT_EQ(text.exit_code, 5);
  EXPECT_THAT(text.out,
              AllOf(::testing::StartsWith("small: incomplete, and no worker is running; "),
                    HasSubstr("\nnext: graft launch CONFIG, or graft run CONFIG --shard I/N, computes "
                              "what is missing\n")));
  for (const json& worker : stuck["workers"]) EXPECT_EQ(worker["state"], "interrupted");
  EXPECT_EQ(launch("r", {"--tasks", "3", "-q"}).exit_code, 0) << "another number of tasks";
  expect_same_as_single("r");
}

TEST_F(LaunchTest, AFailureIsNamedWithItsLog) {
  folder_.write("data/a/1.bmp", "no image");
  folder_.write("config.yaml", R"(name: small
run: {threads: 1, on_error: fail}
stages:
  images: {plugin: image_folder, with: {root: data}}
  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}
  rows: {plugin: pixel_table, from: pixels}
  knn: {plugin: knn, from: rows}
  report: {plugin: evaluate, from: knn}
)");
  const ProgramResult r = launch("r", {"--tasks", "2"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(
      r.err,
      ::testing::ContainsRegex(
          "error: 1 of 1 worker failed, and their work is not done: shard [01]/2 failed with exit code "
          "1, see .*/s/jobs/small/logs/local-[01]\\.txt"));
  EXPECT_EQ(status()["state"], "incomplete");
  EXPECT_THAT(status()["workers"][0]["error"].get<std::string>(), HasSubstr("item 'a/1.bmp'"));
}

TEST_F(LaunchTest, AStatusThatCannotBeReadEndsNothing) {
  const TempFolder output;
  const pid_t launcher = start_program(
      output, words("launch", "r", {"--tasks", "2", "--log-level", "debug", "--set", "nap.seconds=0.5"}),
      folder_.path());
  const auto job = folder_ / "s/jobs/small/job.json";
  wait_until([&] { return every_worker_has_finished(1); });
  std::filesystem::rename(job, folder_ / "away");
  wait_until([&] {
    siginfo_t end{};
    return slurp(output / "stderr").find("status not known: ") != std::string::npos ||
           (::waitid(P_PID, static_cast<id_t>(launcher), &end, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            end.si_pid == launcher);
  });
  std::filesystem::rename(folder_ / "away", job);
  ::kill(launcher, SIGTERM);
  const ProgramResult r = wait_for(output, launcher);
  EXPECT_EQ(r.exit_code, 143) << r.err;
  EXPECT_THAT(r.err, HasSubstr("status not known: " + (folder_ / "s").string() + " has no job 'small'"));
  EXPECT_THAT(r.err, HasSubstr("interrupted; what was finished is saved\n"));
}

TEST_F(LaunchTest, AnErrorOfTheLauncherLeavesNoProcess) {
  const TempFolder output;
  // An item takes seconds, so that a worker that is not waited for outlives the launcher.
  const pid_t launcher = start_program(
      output, words("launch", "r", {"--tasks", "2", "-q", "--set", "nap.seconds=3"}), folder_.path());
  wait_until([&] { return every_worker_has_finished(1); });
  std::filesystem::rename(folder_ / "s/jobs/small/logs", folder_ / "away");
  const json before = status();
  ASSERT_EQ(::kill(before["workers"][0]["process"].get<pid_t>(), SIGKILL), 0);
  const ProgramResult r = wait_for(output, launcher);
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr("error: cannot create "));
  const json after = status();
  ASSERT_EQ(after["workers"].size(), 2u);
  for (const json& worker : after["workers"]) EXPECT_EQ(worker["alive"], false) << worker;
}

TEST_F(LaunchTest, TwoAtOnce) {
  const TempFolder a, b;
  const pid_t first =
      start_program(a, words("launch", "ra", {"--tasks", "2", "-q", "--set", "nap.seconds=0.02"}));
  const pid_t second =
      start_program(b, words("launch", "rb", {"--tasks", "3", "-q", "--set", "nap.seconds=0.02"}));
  const ProgramResult ra = wait_for(a, first), rb = wait_for(b, second);
  EXPECT_EQ(ra.exit_code, 0) << ra.err;
  EXPECT_EQ(rb.exit_code, 0) << rb.err;
  expect_same_as_single("ra");
  expect_same_as_single("rb");
}

/// A worker that somebody else has started: it has half of the job, says so every second, and does nothing.
class IdleWorker {
 public:
  explicit IdleWorker(const JobFolder& job) : lease_(job, "idle") {
    record_.attempt = "idle";
    record_.shard = {0, 2};
    record_.state = "running";
    record_.host = "elsewhere";
    record_.pid = 42;
    record_.open = record_.shard.slots();
    record_.finished.resize(record_.open.count());
    record_.rejected.resize(record_.open.count());
    lease_.write(record_);
    SlotOwners owners;
    owners.update(job);
    EXPECT_TRUE(job.add_claim(owners.last_claim() + 1, "idle", record_.open));
    thread_ = std::thread([this] {
      for (int i = 0; !stop_; ++i) {
        if (i % 20 == 0) lease_.write(record_);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
    });
  }
  ~IdleWorker() {
    stop_ = true;
    thread_.join();
  }

 private:
  WorkerLease lease_;
  WorkerRecord record_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST_F(LaunchTest, WorkersOfOthersAreWaitedForAndReplacedWhereTheyDie) {
  ASSERT_EQ(run_program(words("run", "", {"--shard", "1/2", "-q"})).exit_code, 0);
  const TempFolder output;
  pid_t launcher = 0;
  const std::string waits = "waiting for the worker of shard 0/2 on elsewhere (process 42)\n";
  {
    const IdleWorker worker(JobFolder(folder_ / "s", "small"));
    launcher = start_program(output, words("launch", "r", {"--tasks", "2"}), folder_.path());
    wait_until([&] { return slurp(output / "stderr").find(waits) != std::string::npos; });
  }
  const ProgramResult r = wait_for(output, launcher);
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.err, HasSubstr(waits + "starting 1 worker, 1 processor each: shards 0 of 2\n"));
  expect_same_as_single("r");
}

TEST_F(LaunchTest, AMergeWaitsForWorkersOfAnotherLaunchAndNamesWhatTheyLeave) {
  ASSERT_EQ(run_program(words("run", "", {"--shard", "1/2", "-q"})).exit_code, 0);
  const std::string waits = "waiting for the worker of shard 0/2 on elsewhere (process 42)\n";
  for (const bool interrupted : {true, false}) {
    const TempFolder output;
    pid_t merge = 0;
    {
      const IdleWorker worker(JobFolder(folder_ / "s", "small"));
      merge = start_program(output, words("run", "r", {"--merge"}), folder_.path());
      wait_until([&] { return slurp(output / "stderr").find(waits) != std::string::npos; });
      if (interrupted) {
        ::kill(merge, SIGTERM);
        EXPECT_EQ(wait_for(output, merge).exit_code, 143);
      }
    }
    if (interrupted) continue;
    const ProgramResult r = wait_for(output, merge);
    EXPECT_EQ(r.exit_code, 1);
    EXPECT_THAT(r.err, AllOf(HasSubstr(waits), HasSubstr(" of 120 inputs have no row yet, for example ")));
  }
}

TEST_F(LaunchTest, AnInterruptionEndsTheWaitingForOthers) {
  ASSERT_EQ(run_program(words("run", "", {"--shard", "1/2", "-q"})).exit_code, 0);
  const IdleWorker worker(JobFolder(folder_ / "s", "small"));
  const TempFolder output;
  const pid_t launcher = start_program(output, words("launch", "r", {"--tasks", "2"}), folder_.path());
  wait_until([&] { return slurp(output / "stderr").find("waiting for ") != std::string::npos; });
  ::kill(launcher, SIGTERM);
  const ProgramResult r = wait_for(output, launcher);
  EXPECT_EQ(r.exit_code, 143) << r.err;
  EXPECT_THAT(r.err, HasSubstr("interrupted; what was finished is saved\nresume with: "));
}

TEST_F(LaunchTest, AJobWithOtherSettingsNeedsARestart) {
  ASSERT_EQ(run_program(words("run", "", {"--shard", "0/2", "-q"})).exit_code, 0);
  const ProgramResult r = launch("r", {"--tasks", "2", "--set", "images.size=20"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr("was begun with other settings: images.size 24 -> 20"));
  EXPECT_EQ(launch("r", {"--tasks", "2", "-q", "--set", "images.size=20", "--restart"}).exit_code, 0);
  // A job that was merged is over: another one may begin without a word.
  EXPECT_EQ(launch("r2", {"--tasks", "2", "-q"}).exit_code, 0);
  expect_same_as_single("r2");
}

TEST_F(LaunchTest, ADryRunPrintsAndDoesNothing) {
  const ProgramResult local = launch("", {"--tasks", "2", "--dry-run"});
  EXPECT_EQ(local.exit_code, 0) << local.err;
  EXPECT_THAT(local.out, AllOf(HasSubstr(" run " + (folder_ / "config.yaml").string() + " --store "),
                               HasSubstr(" --shard 1/2\n"), HasSubstr(" --merge\n")));
  const ProgramResult slurm = launch("", {"--engine", "slurm", "--tasks", "4", "--time", "10", "--partition",
                                          "main", "--submit-option=--qos=low", "--dry-run"});
  EXPECT_EQ(slurm.exit_code, 0) << slurm.err;
  EXPECT_THAT(slurm.out, AllOf(HasSubstr("#SBATCH --array=0-3\n"), HasSubstr("#SBATCH --partition=main\n"),
                               HasSubstr("#SBATCH --qos=low\n"), HasSubstr("export GRAFT_TASKS=4\n"),
                               HasSubstr("--set run.threads=1 ")));
  const ProgramResult mpi = launch("", {"--engine", "mpi", "--tasks", "4", "--cpus", "2", "--dry-run"});
  EXPECT_THAT(mpi.out, HasSubstr("mpirun -n 4 --map-by slot:PE=2 --bind-to core "));
  const ProgramResult kubernetes =
      launch("", {"--engine", "kubernetes", "--tasks", "4", "--memory", "8GiB", "--json", "--dry-run"});
  const json files = json::parse(kubernetes.out)["files"];
  EXPECT_THAT(files["job.yaml"].get<std::string>(), HasSubstr("memory: 8192Mi"));
  EXPECT_THAT(files["Dockerfile"].get<std::string>(), HasSubstr("\nFROM debian:"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "s"));
  // An array without a task is none.
  ASSERT_EQ(launch("r", {"--tasks", "1", "-q"}).exit_code, 0);
  const ProgramResult done = launch("", {"--engine", "slurm", "--tasks", "4", "--dry-run"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out,
              AllOf(::testing::StartsWith(
                        "# every input has its row or its reject: nothing to compute\n# merge.sh\n"),
                    Not(HasSubstr("--array"))));
}

TEST_F(LaunchTest, APlanEstimatesForACluster) {
  const auto plan = [&](const std::vector<std::string>& more) {
    return run_program(words("plan", "", more));
  };
  const ProgramResult text = plan({"--for", "slurm:4x2", "--price", "1.5"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out,
              ::testing::ContainsRegex(
                  "\non slurm: 4 tasks, 2 processors each\n"
                  "  time about [^,]+, [0-9.]+ machine-hours \\([0-9.]+ processor-hours\\), [0-9.]+ at the "
                  "price given, at the pace of this machine\n"
                  "  measured on [^\n]+, [0-9]+ processors?, [0-9.]+ [KMGT]iB of memory\n"
                  "  disk \\+202.5 KiB, memory of a task about [0-9.]+ MiB\n"));
  const json cluster = json::parse(plan({"--for", "slurm:4x2", "--json"}).out)["cluster"];
  EXPECT_EQ(cluster["tasks"], 4);
  EXPECT_EQ(cluster["inputs"], 120);
  EXPECT_TRUE(cluster["cost"].is_null());
  // What is stored is not computed, and what was not measured is not made up.
  ASSERT_EQ(run_program(words("run", "r", {"-q"})).exit_code, 0);
  EXPECT_EQ(json::parse(plan({"--for", "local:2x1", "--json"}).out)["cluster"]["task_hours"], 0);
  const ProgramResult unmeasured = plan({"--for", "mpi:4x2", "--no-sample", "--set", "images.size=20"});
  EXPECT_THAT(unmeasured.out, HasSubstr("  time not known: not measured: --no-sample\n"));
  EXPECT_THAT(plan({"--for", "slurm:4"}).err,
              HasSubstr("--for: expected ENGINE:TASKSxCPUS such as slurm:40x8"));
  EXPECT_THAT(plan({"--price", "4"}).err, HasSubstr("--price: expected --for, too"));
}

TEST_F(LaunchTest, WrongOptionsAreErrors) {
  const auto error = [&](const std::vector<std::string>& more) {
    const ProgramResult r = launch("", more);
    EXPECT_EQ(r.exit_code, 2);
    return r.err;
  };
  EXPECT_THAT(
      error({"--engine", "slrum"}),
      HasSubstr("--engine: 'slrum' is not allowed here; did you mean 'slurm'? (allowed: local, slurm, "
                "kubernetes, mpi)"));
  EXPECT_THAT(error({"--engine", "slurm"}), HasSubstr("--tasks is missing: how many processes"));
  EXPECT_THAT(error({"--tasks", "-1"}),
              HasSubstr("--tasks: expected a whole number from 1 to 65536, got '-1'"));
  EXPECT_THAT(error({"--tasks", "2", "--time", "10"}),
              HasSubstr("--time: of no use with --engine local (it is for slurm)"));
  EXPECT_THAT(error({"--engine", "slurm", "--tasks", "2", "--partition", "a b"}),
              HasSubstr("'a b': expected a word without blanks and quotes"));
  EXPECT_THAT(error({"--engine", "slurm", "--tasks", "2", "--submit-option", "qos"}),
              HasSubstr("--submit-option: expected an option of sbatch such as --qos=low, got 'qos'"));
  EXPECT_THAT(error({"--engine", "kubernetes", "--tasks", "2", "--memory", "much"}), HasSubstr("--memory: "));
}

TEST_F(LaunchTest, AnArrayIsCancelledWhenTheMergeCannotBeSubmitted) {
  const auto program = [&](const char* name, const std::string& lines) {
    std::filesystem::permissions(folder_.write(std::string("bin/") + name, "#!/bin/sh\n" + lines),
                                 std::filesystem::perms::owner_all);
  };
  program("sbatch",
          "case $2 in --dependency=*) echo 'sbatch: error: QOSMaxSubmitJobLimit' >&2; exit 1;; esac\n"
          "echo '17;main'\n");
  program("scancel", "echo \"$@\" >> " + (folder_ / "cancelled").string() + "\n");
  const std::string path = "PATH=" + (folder_ / "bin").string() + ":/usr/bin:/bin";
  const ProgramResult r = launch("", {"--engine", "slurm", "--tasks", "2"}, {path});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr(" failed with exit code 1: sbatch: error: QOSMaxSubmitJobLimit; job 17 was "
                               "cancelled\n"));
  EXPECT_EQ(slurp(folder_ / "cancelled"), "17\n");
  program("scancel", "exit 1\n");
  EXPECT_THAT(launch("", {"--engine", "slurm", "--tasks", "2"}, {path}).err,
              HasSubstr("; job 17 is still in the queue, cancel it with: scancel 17\n"));
}

TEST_F(LaunchTest, SlurmThatIsNotThereIsAnErrorThatNamesIt) {
  const ProgramResult r = launch("", {"--engine", "slurm", "--tasks", "2"}, {"PATH=/nonexistent"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err,
              HasSubstr("error: cannot start sbatch: no folder of PATH has it; on Debian: apt-get install "
                        "slurm-client\n"));
}

}  // namespace
}  // namespace graft::test
