// graft launch on a real Slurm: tasks are killed, a node is lost, jobs are requeued and cancelled; the table
// is that of a single run.

#include <signal.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <random>
#include <set>
#include <thread>

#include <nlohmann/json.hpp>

#include "slurm_cluster.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

class SlurmTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (SlurmCluster::why_not().empty()) cluster_ = std::make_unique<SlurmCluster>();
  }
  static void TearDownTestSuite() { cluster_.reset(); }

  void SetUp() override {
    if (!cluster_) GTEST_SKIP() << SlurmCluster::why_not();
  }

  void make(int inputs, double seconds) {
    inputs_ = inputs;
    std::ostringstream config;
    config << "name: cluster\nrun: {threads: 1}\nstages:\n"
              "  images: {plugin: synthetic, with: {task: target, size: 24, train: "
           << inputs / 2 << ", val: " << inputs / 4 << ", test: " << inputs - inputs / 2 - inputs / 4
           << "}}\n"
              "  nap: {plugin: sleepy, from: images, with: {seconds: "
           << seconds
           << "}}\n"
              "  rows: {plugin: pixel_table, from: nap}\n"
              "  knn: {plugin: knn, from: rows}\n"
              "  report: {plugin: evaluate, from: knn}\n";
    folder_.write("config.yaml", config.str());
    const ProgramResult r = graft("run", {"--quiet", "--set", "nap.seconds=0", "--out", folder_ / "single"},
                                  folder_ / "single_store");
    ASSERT_EQ(r.exit_code, 0) << r.err;
  }
  ProgramResult graft(const std::string& command, const std::vector<std::string>& more,
                      const std::string& store) const {
    std::vector<std::string> words{command, folder_ / "config.yaml", "--store",
                                   store,   "--plugin-dir",          GRAFT_TEST_PLUGINS};
    words.insert(words.end(), more.begin(), more.end());
    return run_program(words, folder_.path(), cluster_->environment());
  }
  std::string store() const { return folder_ / "s"; }
  json launch(int tasks) {
    const ProgramResult r = graft(
        "launch", {"--engine", "slurm", "--tasks", std::to_string(tasks), "--json", "--out", folder_ / "r"},
        store());
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return json::parse(r.out, nullptr, false);
  }

  /// The status, which must hold at every moment: counts add up, rows never become fewer, the exit code is
  /// that of the state.
  json status() {
    std::set<pid_t> dead;
    for (const pid_t pid : seen_)
      if (is_dead(pid)) dead.insert(pid);
    const ProgramResult r = run_program({"status", "cluster", "--store", store(), "--json"});
    json now = json::parse(r.out, nullptr, false);
    if (!now.is_object() || now.contains("error")) {
      ADD_FAILURE() << r.out << r.err;
      return now;
    }
    const int rows = now["tables"]["rows"]["rows"];
    EXPECT_GE(rows, rows_seen_) << "committed rows stay";
    rows_seen_ = rows;
    EXPECT_LE(rows, inputs_);
    if (!now["inputs"]["total"].is_null()) {
      EXPECT_EQ(now["inputs"]["total"], inputs_);
      EXPECT_EQ(now["inputs"]["finished"].get<int>() + now["inputs"]["remaining"].get<int>(), inputs_);
    }
    bool alive = false;
    for (const json& worker : now["workers"]) {
      const pid_t pid = worker["process"];
      alive = alive || worker["alive"].get<bool>();
      if (dead.contains(pid)) {
        EXPECT_EQ(worker["alive"], false) << worker;
      }
      if (worker["state"] == "running" && !is_dead(pid)) {
        EXPECT_EQ(worker["alive"], true) << worker;
      }
      seen_.insert(pid);
    }
    EXPECT_EQ(r.exit_code, now["state"] == "done" ? 0 : now["state"] == "running" ? 4 : 5);
    EXPECT_EQ(now["state"] == "incomplete", now["fraction_done"] != 1.0 && !alive);
    return now;
  }
  /// A zombie, or gone meanwhile.
  static bool is_dead(pid_t pid) {
    const std::string stat = slurp("/proc/" + std::to_string(pid) + "/stat");
    return stat.empty() || stat.find(") Z") != std::string::npos;
  }

  void wait_until(const char* what, int seconds, const std::function<bool()>& true_now) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (!true_now()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << what;
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
    }
  }
  void wait_for_jobs(int seconds) {
    wait_until("the jobs end", seconds, [] { return cluster_->jobs().empty(); });
  }
  /// `merged`: the run's folder; empty: r.
  void expect_same_as_single(std::string merged = {}) {
    if (merged.empty()) merged = folder_ / "r";
    for (const char* file : {"predictions/knn.csv", "inputs.csv"})
      EXPECT_TRUE(slurp(std::filesystem::path(merged) / file) == slurp(folder_ / "single" / file))
          << file << logs();
    for (const auto& [name, from] : {std::pair("a.npy", store()), {"b.npy", folder_ / "single_store"}})
      EXPECT_EQ(run_program({"store", "export", "cluster/rows", folder_ / name, "--store", from}).exit_code,
                0);
    EXPECT_TRUE(slurp(folder_ / "a.npy") == slurp(folder_ / "b.npy")) << "bit for bit";
    std::filesystem::remove(folder_ / "a.npy");
    std::filesystem::remove(folder_ / "b.npy");
    const ProgramResult verified = run_program({"store", "verify", "--store", store()});
    EXPECT_EQ(verified.exit_code, 0) << verified.out;
    const std::string n = std::to_string(inputs_);
    EXPECT_THAT(verified.out, HasSubstr(n + " ok + 0 rejected of " + n + " inputs: sound"));
    const json now = status();
    EXPECT_EQ(now["state"], "done");
    EXPECT_EQ(now["inputs"]["finished"], inputs_);
    EXPECT_EQ(now["merged"], merged);
  }
  std::string logs() const {
    if (!std::filesystem::exists(folder_ / "s/jobs/cluster/logs")) return {};
    std::string out;
    for (const auto& e : std::filesystem::directory_iterator(folder_ / "s/jobs/cluster/logs"))
      if (e.path().filename().string().starts_with("slurm"))
        out += e.path().filename().string() + ": " + slurp(e.path());
    return out;
  }

  static inline std::unique_ptr<SlurmCluster> cluster_;
  TempFolder folder_;
  int inputs_ = 0, rows_seen_ = 0;
  std::set<pid_t> seen_;
};

TEST_F(SlurmTest, AnArrayAndItsMergeAreASingleRun) {
  make(400, 0);
  const json submitted = launch(8);
  EXPECT_EQ(submitted["shards"], "0-7");
  wait_for_jobs(180);
  expect_same_as_single();
  // Again: there is nothing to compute, and the merge is all that is submitted.
  const json again = launch(8);
  EXPECT_EQ(again["shards"], "");
  EXPECT_FALSE(again.contains("array_job"));
  wait_for_jobs(60);
  expect_same_as_single();
}

TEST_F(SlurmTest, TenKilledTasksAndALostNode) {
  make(1110, 0.05);
  launch(37);
  std::mt19937 random(7);
  int kills = 0;
  bool node_lost = false;
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(5);
  while (!cluster_->jobs().empty() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    const json now = status();
    std::vector<pid_t> alive;
    for (const json& worker : now["workers"])
      if (worker["alive"] == true) alive.push_back(worker["process"].get<pid_t>());
    if (kills < 10 && !alive.empty() && ::kill(alive[random() % alive.size()], SIGKILL) == 0) ++kills;
    if (!node_lost && kills == 4) {
      cluster_->kill_node(3);  // its task goes on, and writes, while Slurm starts it again elsewhere
      node_lost = true;
    }
  }
  EXPECT_EQ(kills, 10);
  EXPECT_TRUE(node_lost);
  cluster_->start_node(3);
  wait_for_jobs(60);
  launch(37);
  wait_for_jobs(180);
  ASSERT_TRUE(std::filesystem::exists(folder_ / "r/results.json")) << logs();
  expect_same_as_single();
}

TEST_F(SlurmTest, ACancelledArrayIsResumedAndARequeuedTaskDoesNothingTwice) {
  make(400, 0.1);
  const std::string array = launch(6)["array_job"];
  wait_until("tasks compute", 60, [&] {
    const json now = status();
    return !now["inputs"]["finished"].is_null() && now["inputs"]["finished"].get<int>() > 20;
  });
  // A running task is put back into the queue, and begins again.
  std::string running;
  for (const auto& [id, state] : cluster_->jobs())
    if (state == "RUNNING") running = id;
  ASSERT_NE(running, "");
  cluster_->run("scontrol requeue " + running);
  std::this_thread::sleep_for(std::chrono::seconds(2));
  status();
  cluster_->run("scancel " + array);
  wait_for_jobs(120);  // the merge runs, and says what is missing
  const json stuck = status();
  EXPECT_EQ(stuck["state"], "incomplete");
  EXPECT_LT(stuck["tables"]["rows"]["rows"], 400);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "r"));
  EXPECT_THAT(logs(), ContainsRegex(
                          "[0-9]+ of 400 inputs have no row yet, for example .*compute them: graft launch"));
  launch(5);
  wait_for_jobs(180);
  ASSERT_TRUE(std::filesystem::exists(folder_ / "r/results.json")) << logs();
  expect_same_as_single();
}

TEST_F(SlurmTest, TheSignalBeforeTheTimeLimitSavesEverything) {
  make(200, 0.2);
  const std::string array = launch(2)["array_job"];
  wait_until("tasks compute", 60, [&] {
    const json now = status();
    return !now["inputs"]["finished"].is_null() && now["inputs"]["finished"].get<int>() > 10;
  });
  // As --signal=B:TERM does.
  cluster_->run("scancel --signal=TERM --batch " + array);
  wait_for_jobs(60);
  const json stuck = status();
  for (const json& worker : stuck["workers"]) EXPECT_EQ(worker["state"], "interrupted");
  EXPECT_GE(stuck["tables"]["rows"]["rows"], stuck["inputs"]["finished"]);
  EXPECT_EQ(stuck["tables"]["rows"]["logs"], 0) << "what was finished is sealed";
}

TEST_F(SlurmTest, TwoLaunchesOfOneJobAtOnceAreASingleRun) {
  make(600, 0.05);
  const auto launch_to = [&](const TempFolder& output, const char* tasks, const char* out) {
    return start_program(output,
                         {"launch", folder_ / "config.yaml", "--store", store(), "--plugin-dir",
                          GRAFT_TEST_PLUGINS, "--engine", "slurm", "--tasks", tasks, "--out", folder_ / out},
                         folder_.path(), cluster_->environment());
  };
  const TempFolder a, b;
  const pid_t first = launch_to(a, "2", "r"), second = launch_to(b, "3", "r2");
  const ProgramResult ra = wait_for(a, first), rb = wait_for(b, second);
  ASSERT_EQ(ra.exit_code, 0) << ra.err;
  ASSERT_EQ(rb.exit_code, 0) << rb.err;
  EXPECT_THAT(ra.out, HasSubstr("shards 0-1 of 2\n"));
  EXPECT_THAT(rb.out, HasSubstr("shards 0-2 of 3\n"));
  while (!cluster_->jobs().empty()) {
    status();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  // Each of them has merged all rows, whoever has computed them.
  for (const char* out : {"r", "r2"})
    for (const char* file : {"predictions/knn.csv", "inputs.csv"})
      EXPECT_TRUE(slurp(folder_ / out / file) == slurp(folder_ / "single" / file)) << out << file << logs();
  expect_same_as_single(status()["merged"]);
}

TEST_F(SlurmTest, ANodeIsMeasuredAndTheEndOfItsJobIsTold) {
  make(120, 0.01);
  const auto words = [&](const std::vector<std::string>& more, const std::string& in) {
    std::vector<std::string> all{"bench-node",   folder_ / "config.yaml",
                                 "--store",      in,
                                 "--plugin-dir", GRAFT_TEST_PLUGINS,
                                 "--engine",     "slurm",
                                 "--tasks",      "4"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const auto bench = [&](const std::vector<std::string>& more, const std::string& in) {
    return run_program(words(more, in), folder_.path(), cluster_->environment());
  };
  const ProgramResult text = bench({"--price", "2"}, store());
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.err, ContainsRegex("(^|\n)measuring on n[0-3]: "));
  EXPECT_THAT(text.out,
              ContainsRegex("\non slurm: 4 tasks, 1 processor each\n  time about [^\n]+\n  measured on "
                            "n[0-3]: [^\n]+ of memory\n  disk [^\n]+\n"));
  const ProgramResult measured = bench({"--json", "--price", "2"}, store());
  EXPECT_EQ(measured.exit_code, 0) << measured.err;
  const json document = json::parse(measured.out, nullptr, false);
  EXPECT_EQ(document["cluster"]["machine"]["name"], document["slurm_job"]["node"]);
  EXPECT_GT(document["cluster"]["cost"], 0);

  // The job fails: what it said is shown, with its node.
  folder_.write("file", "no folder");
  const ProgramResult failed = bench({}, folder_ / "file/s");
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_THAT(
      failed.err,
      AllOf(ContainsRegex("error: on n[0-3]: cannot make the folder .*file/s: Not a directory; choose "
                          "another folder with --store\n"),
            ContainsRegex("error: job [0-9]+ on node n[0-3] failed with exit code 1 \\(FAILED\\); its "
                          "message is above\n$")));
  const ProgramResult refused = bench({"--partition", "nowhere"}, store());
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err,
              ContainsRegex("invalid partition specified(.|\n)*error: srun failed with exit code 1, "
                            "and Slurm knows no job of it; its message is above\n$"));

  const auto in_state = [](const std::string& wanted) {
    for (const auto& [id, state] : cluster_->jobs())
      if (state == wanted) return id;
    return std::string();
  };
  // Somebody cancels it, Ctrl-C does, and Ctrl-C before it has a node.
  for (const bool from_outside : {true, false}) {
    const TempFolder output;
    const pid_t pid = start_program(output, words({"--set", "nap.seconds=100"}, store()), folder_.path(),
                                    cluster_->environment());
    wait_until("the job measures", 60, [&] {
      return in_state("RUNNING") != "" && slurp(output / "stderr").find("measuring on ") != std::string::npos;
    });
    const std::string id = in_state("RUNNING");
    if (from_outside)
      cluster_->run("scancel " + id);
    else
      ::kill(pid, SIGINT);
    const ProgramResult r = wait_for(output, pid);
    if (from_outside) {
      EXPECT_THAT(r.exit_code, ::testing::Ne(0));
      EXPECT_THAT(r.err, ContainsRegex("error: job " + id +
                                       " on node n[0-3] was cancelled; start it again "
                                       "\\(CANCELLED\\)\n$"));
    } else {
      EXPECT_EQ(r.exit_code, 130);
      EXPECT_THAT(r.err, HasSubstr("interrupted; job " + id + " was cancelled\n"));
    }
    wait_for_jobs(60);
  }
  const TempFolder output;
  const pid_t pid = start_program(output, words({"--submit-option=--begin=now+1hour"}, store()),
                                  folder_.path(), cluster_->environment());
  wait_until("the job waits", 60, [&] { return in_state("PENDING") != ""; });
  const std::string id = in_state("PENDING");
  ::kill(pid, SIGTERM);
  const ProgramResult r = wait_for(output, pid);
  EXPECT_EQ(r.exit_code, 143);
  EXPECT_THAT(r.err, HasSubstr("interrupted; job " + id + " was cancelled\n"));
  wait_for_jobs(60);
}

TEST_F(SlurmTest, WhatSbatchRefusesIsShown) {
  make(40, 0);
  const ProgramResult r =
      graft("launch", {"--engine", "slurm", "--tasks", "2", "--partition", "nowhere"}, store());
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err,
              ContainsRegex("error: sbatch --parsable .*array.sh failed with exit code 1: .*nowhere|invalid "
                            "partition specified"));
}

}  // namespace
}  // namespace graft::test
