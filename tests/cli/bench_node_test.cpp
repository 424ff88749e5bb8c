// graft bench-node: what runs here for real, what the clusters are given, and how the end of their jobs is
// told, by commands that stand for theirs. tests/cluster has a real Slurm.

#include <signal.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include <nlohmann/json.hpp>

#include "program.h"
#include "small_job.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

class BenchNodeTest : public ::testing::Test {
 protected:
  BenchNodeTest() { folder_.write("config.yaml", kSmallJob); }

  std::vector<std::string> words(const std::vector<std::string>& more) const {
    std::vector<std::string> all{"bench-node",  folder_ / "config.yaml", "--store",
                                 folder_ / "s", "--plugin-dir",          GRAFT_TEST_PLUGINS};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  ProgramResult bench(const std::vector<std::string>& more,
                      const std::vector<std::string>& environment = {}) const {
    return run_program(words(more), folder_.path(), environment);
  }
  /// The standard output of a dry run, with the paths of this test replaced.
  std::string dry(std::vector<std::string> more) const {
    more.emplace_back("--dry-run");
    const ProgramResult r = bench(more);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    EXPECT_EQ(r.err, "");
    return with_names(r.out);
  }
  std::string with_names(std::string text) const {
    for (const auto& [path, name] : {std::pair<std::string, std::string>(GRAFT_TEST_PLUGINS, "PLUGINS"),
                                     {std::filesystem::canonical(GRAFT_PROGRAM).string(), "GRAFT"},
                                     {folder_.path().string(), "HERE"}})
      for (std::size_t at = 0; (at = text.find(path, at)) != std::string::npos;)
        text.replace(at, path.size(), name);
    return text;
  }
  /// A command of a cluster, first in PATH.
  void command(const std::string& name, const std::string& lines) const {
    std::filesystem::permissions(folder_.write("bin/" + name, "#!/bin/sh\n" + lines),
                                 std::filesystem::perms::owner_all);
  }
  std::vector<std::string> path() const { return {"PATH=" + (folder_ / "bin").string() + ":/usr/bin:/bin"}; }

  /// What srun and mpirun do with the command behind their own options: on node n7.
  static constexpr const char* kRunsTheCommand =
      "while [ \"$1\" != bench-node ]; do program=$1; shift; done\nGRAFT_NODE=n7 exec \"$program\" \"$@\"\n";

  TempFolder folder_;
};

TEST_F(BenchNodeTest, LocalMeasuresHereOnTheProcessorsOfATask) {
  const ProgramResult r = bench({"--tasks", "4", "--cpus", "1", "--price", "1.5"}, {"GRAFT_NODE=n7"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.err, MatchesRegex("measuring on n7: [^\n]+, 1 processor, [0-9.]+ [KMGT]iB of memory\n"));
  EXPECT_THAT(
      r.out,
      ContainsRegex(
          "\non local: 4 tasks, 1 processor each\n"
          "  time about [^,]+, [0-9.]+ machine-hours \\([0-9.]+ processor-hours\\), [0-9.]+ at the price "
          "given, at the pace of this machine\n"
          "  measured on n7: [^\n]+, 1 processor, [0-9.]+ [KMGT]iB of memory\n"
          "  disk \\+202.5 KiB, memory of a task about [0-9.]+ MiB\n$"));
  const json document = json::parse(bench({"--tasks", "4", "--cpus", "1", "--json"}, {"GRAFT_NODE=n7"}).out);
  const json& cluster = document["cluster"];
  EXPECT_EQ(document["resources"]["threads"], 1) << "as many as processors";
  EXPECT_EQ(cluster["inputs"], 120);
  EXPECT_EQ(cluster["machine"]["name"], "n7");
  EXPECT_EQ(cluster["machine"]["processors"], 1);
  EXPECT_GT(cluster["machine"]["memory_bytes"], 1 << 20);
  EXPECT_GT(cluster["core_hours"], 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "s")) << "nothing stays in the store";
}

TEST_F(BenchNodeTest, FewInputsAreMeasuredAndNoneNeedNoTime) {
  const auto estimate = [&](const std::vector<std::string>& more) {
    const ProgramResult r = bench(more);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return json::parse(r.out)["cluster"];
  };
  EXPECT_GT(estimate({"--tasks", "2", "--json", "--set", "images.train=4", "--set", "images.val=2", "--set",
                      "images.test=2"})["seconds"],
            0);
  ASSERT_EQ(run_program({"run", folder_ / "config.yaml", "--store", folder_ / "s", "--plugin-dir",
                         GRAFT_TEST_PLUGINS, "--out", folder_ / "r", "-q"})
                .exit_code,
            0);
  EXPECT_EQ(estimate({"--tasks", "2", "--json"})["task_hours"], 0);
}

TEST_F(BenchNodeTest, WhatNeedsLibTorchIsMeasuredToo) {
  folder_.write("config.yaml", R"(name: small
stages:
  images: {plugin: synthetic, with: {task: target, size: 24, train: 60, val: 20, test: 40}}
  heavy: {plugin: heavy, from: images}
  rows: {plugin: pixel_table, from: heavy}
)");
  EXPECT_THAT(
      run_program({"plan", folder_ / "config.yaml", "--store", folder_ / "s", "--plugin-dir",
                   GRAFT_TEST_PLUGINS, "--for", "local:2x1"})
          .out,
      HasSubstr("  time not known: not measured: heavy needs LibTorch, which is not loaded for a sample\n"));
  const ProgramResult r = bench({"--tasks", "2", "--cpus", "1", "--json"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_GT(json::parse(r.out)["cluster"]["seconds"], 0);
}

TEST_F(BenchNodeTest, ADryRunPrintsTheCommandOfEveryEngine) {
  const std::string job =
      "GRAFT bench-node HERE/config.yaml --store HERE/s --set run.threads=1 --plugin-dir PLUGINS --engine ";
  EXPECT_EQ(dry({"--tasks", "4", "--cpus", "1"}).substr(0, 31), "# command\ntaskset --cpu-list 0 ")
      << "the first processor that this test may use";
  EXPECT_THAT(dry({"--tasks", "4", "--cpus", "1"}), HasSubstr(job + "local --tasks 4 --cpus 1 --here\n"));
  EXPECT_THAT(
      dry({"--engine",        "slurm",  "--tasks",         "40",
           "--gpus",          "2",      "--memory",        "3GiB",
           "--time",          "10",     "--partition",     "cpu",
           "--account",       "lab",    "--constraint",    "avx512",
           "--submit-option", "-q low", "--submit-option", "--comment='a b'",
           "--price",         "1.25"}),
      AllOf(HasSubstr("srun --job-name=graft-small-bench-"),
            HasSubstr(" --nodes=1 --ntasks=1 --cpus-per-task=1 --gpus-per-node=2 --mem=3072M --time=10 "
                      "--partition=cpu --account=lab --constraint=avx512 -q low '--comment=a b' --chdir=HERE "
                      "--input=none " +
                      job + "slurm --tasks 40 --cpus 1 --price 1.25 --here")));
  const ProgramResult document = bench({"--engine", "slurm", "--tasks", "2", "--json", "--dry-run"});
  EXPECT_THAT(json::parse(document.out)["files"]["command"].get<std::string>(),
              HasSubstr(" --json --here\n"));
  EXPECT_EQ(dry({"--engine", "mpi", "--tasks", "4"})
                .find("# command\nmpirun -n 1 --map-by slot:PE=1 --bind-to core "),
            0u);
  EXPECT_THAT(dry({"--engine", "mpi", "--tasks", "4"}), HasSubstr(job + "mpi --tasks 4 --cpus 1 --here\n"));
  const std::string kubernetes = dry({"--engine", "kubernetes", "--tasks", "4", "--memory", "8GiB"});
  EXPECT_THAT(
      kubernetes,
      AllOf(StartsWith(
                "# bench-node.yaml\napiVersion: batch/v1\nkind: Job\nmetadata:\n  name: graft-small-bench\n"),
            HasSubstr(
                "          command: [\"graft\",\"bench-node\",\"HERE/config.yaml\",\"--store\",\"HERE/s\","
                "\"--set\",\"run.threads=1\",\"--plugin-dir\",\"PLUGINS\",\"--engine\",\"kubernetes\","
                "\"--tasks\",\"4\",\"--cpus\",\"1\",\"--here\"]\n"),
            HasSubstr("            requests: {cpu: \"1\", memory: 8192Mi}\n"),
            HasSubstr("# kubectl logs --follow --pod-running-timeout=24h job/graft-small-bench\n")));
  EXPECT_EQ(with_names(bench({"--engine", "kubernetes", "--tasks", "4", "--memory", "8GiB"}).out), kubernetes)
      << "it is printed in any case";
  EXPECT_FALSE(std::filesystem::exists(folder_ / "s"));
}

TEST_F(BenchNodeTest, WrongOptionsAndConfigsAreErrors) {
  const auto error = [&](const std::vector<std::string>& more) {
    const ProgramResult r = bench(more);
    EXPECT_EQ(r.exit_code, 2);
    EXPECT_EQ(r.out, "");
    return r.err.substr(0, r.err.find('\n'));
  };
  EXPECT_EQ(error({"--tasks", "0"}), "error: --tasks: expected a whole number from 1 to 65536, got '0'");
  EXPECT_EQ(error({"--tasks", "99999999999999999999"}),
            "error: --tasks: expected a whole number from 1 to 65536, got '99999999999999999999'");
  EXPECT_EQ(error({"--cpus", "1025"}), "error: --cpus: expected a whole number from 1 to 1024, got '1025'");
  EXPECT_EQ(error({"--engine", "slurm"}), "error: --tasks is missing: how many processes");
  EXPECT_EQ(error({"--price", "-1"}), "error: --price: expected 0 or more, got -1");
  EXPECT_EQ(error({"--partition", "cpu"}),
            "error: --partition: of no use with --engine local (it is for slurm)");
  EXPECT_EQ(error({"--here", "--dry-run"}), "error: --here: of no use with --dry-run, which starts nothing");
  EXPECT_EQ(error({"--restart"}), "error: --restart is an option of graft launch");
  EXPECT_EQ(
      with_names(error({"--engine", "slurm", "--tasks", "2", "--set", "nap.second=1"})), with_names([&] {
        const ProgramResult r = run_program(
            {"plan", folder_ / "config.yaml", "--plugin-dir", GRAFT_TEST_PLUGINS, "--set", "nap.second=1"});
        return r.err.substr(0, r.err.find('\n'));
      }()))
      << "as plan tells it";
}

TEST_F(BenchNodeTest, AnEngineThatIsNotInstalledIsNamedWithItsPackage) {
  const auto error = [&](const char* engine) {
    const ProgramResult r = bench({"--engine", engine, "--tasks", "2"}, {"PATH=/nonexistent"});
    EXPECT_EQ(r.exit_code, 1);
    return r.err;
  };
  EXPECT_EQ(error("slurm"),
            "error: cannot start srun: no folder of PATH has it; on Debian: apt-get install slurm-client\n");
  EXPECT_EQ(error("mpi"),
            "error: cannot start mpirun: no folder of PATH has it; on Debian: apt-get install openmpi-bin\n");
}

TEST_F(BenchNodeTest, AStoreThatCannotBeWrittenIsAnErrorOfTheNode) {
  folder_.write("file", "no folder");
  const ProgramResult r = run_program({"bench-node", folder_ / "config.yaml", "--store", folder_ / "file/s",
                                       "--plugin-dir", GRAFT_TEST_PLUGINS, "--here"},
                                      folder_.path(), {"GRAFT_NODE=n7"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(with_names(r.err),
              HasSubstr("\nerror: on n7: cannot make the folder HERE/file/s: Not a directory; choose another "
                        "folder with --store\n"));
}

TEST_F(BenchNodeTest, ANodeWithoutTheImagesIsNamed) {
  std::string list = "path,label\n";
  for (int i = 0; i < 80; ++i) list += "gone/" + std::to_string(i) + ".bmp," + std::to_string(i % 2) + "\n";
  folder_.write("list.csv", list);
  folder_.write("config.yaml", R"(name: small
stages:
  images: {plugin: image_list, with: {file: list.csv}}
  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}
  rows: {plugin: pixel_table, from: pixels}
)");
  const std::string why =
      "no estimate from n7: not measured: all of 80 inputs were rejected, the first by images: item "
      "'gone/0.bmp': cannot open the file: No such file or directory";
  const std::vector<std::string> here{"--here", "--tasks", "2", "--cpus", "1"};
  const ProgramResult r = bench(here, {"GRAFT_NODE=n7"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr("\nerror: " + why + "\n"));
  const json document =
      json::parse(bench({"--here", "--tasks", "2", "--cpus", "1", "--json"}, {"GRAFT_NODE=n7"}).out);
  EXPECT_EQ(document["error"], why);
  EXPECT_EQ(document["exit_code"], 1);
  EXPECT_TRUE(document["cluster"]["seconds"].is_null());
}

TEST_F(BenchNodeTest, SlurmRunsAJobOfItsOwnAndItsOutputComesBack) {
  command("squeue", "echo \"$@\" > " + (folder_ / "asked").string() + "; echo '17|COMPLETED|n7'\n");
  command("srun", "echo noise of a prolog; env | grep ^SLURM_ > " + (folder_ / "variables").string() + "\n" +
                      kRunsTheCommand);
  std::vector<std::string> environment = path();
  environment.insert(environment.end(), {"SLURM_JOB_ID=3", "SLURM_NTASKS=9", "SLURM_CONF=/etc/slurm.conf"});
  const std::vector<std::string> slurm{"--engine", "slurm", "--tasks", "4"};
  const ProgramResult text = bench(slurm, environment);
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out,
              AllOf(HasSubstr("\non slurm: 4 tasks, 1 processor each\n"), HasSubstr("\n  measured on n7: ")));
  EXPECT_THAT(text.err, StartsWith("measuring on n7: "));
  EXPECT_EQ(slurp(folder_ / "variables"), "SLURM_CONF=/etc/slurm.conf\n") << "not a step of job 3";
  EXPECT_THAT(slurp(folder_ / "asked"),
              MatchesRegex("--noheader --states=all --name=graft-small-bench-[0-9a-f]{8} .*\n"));
  const ProgramResult r = bench({"--engine", "slurm", "--tasks", "4", "--json"}, environment);
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.err, "");
  const json document = json::parse(r.out);
  EXPECT_EQ(document["slurm_job"], (json{{"id", "17"}, {"node", "n7"}, {"state", "COMPLETED"}}));
  EXPECT_EQ(document["cluster"]["machine"]["name"], "n7");
  EXPECT_EQ(document["cluster"]["engine"], "slurm");
}

TEST_F(BenchNodeTest, HowAJobOfSlurmEndedIsToldWithTheCure) {
  const auto error = [&](const std::string& state, const std::string& srun) {
    command("srun", srun);
    command("squeue", state.empty() ? "" : "echo '17|" + state + "|n3'\n");
    const ProgramResult r = bench({"--engine", "slurm", "--tasks", "2"}, path());
    EXPECT_NE(r.exit_code, 0);
    return std::to_string(r.exit_code) + " " + r.err;
  };
  EXPECT_EQ(
      error("FAILED", "echo 'error: no data' >&2; exit 2"),
      "2 error: no data\nerror: job 17 on node n3 failed with exit code 2 (FAILED); its message is above\n");
  EXPECT_EQ(error("CANCELLED", "exit 0"),
            "1 error: job 17 on node n3 was cancelled; start it again (CANCELLED)\n")
      << "srun does not always tell";
  EXPECT_EQ(error("TIMEOUT", "exit 1"),
            "1 error: job 17 on node n3 ran into its time limit; give it more with --time (TIMEOUT)\n");
  EXPECT_EQ(error("OUT_OF_MEMORY", "kill -9 $$"),
            "137 error: job 17 on node n3 needs more memory than it was given; give it more with --memory "
            "(OUT_OF_MEMORY)\n");
  EXPECT_EQ(error("NODE_FAIL", "exit 1"),
            "1 error: job 17 on node n3 was lost with its node; start it again (NODE_FAIL)\n");
  EXPECT_EQ(error("PREEMPTED", "exit 1"),
            "1 error: job 17 on node n3 had to make room for another job; start it again, or choose another "
            "--partition (PREEMPTED)\n");
  EXPECT_EQ(error("DEADLINE", "exit 1"),
            "1 error: job 17 on node n3 has ended without a result; start it again (DEADLINE)\n");
  EXPECT_EQ(
      error("", "echo 'srun: error: invalid partition' >&2; exit 1"),
      "1 srun: error: invalid partition\nerror: srun failed with exit code 1, and Slurm knows no job of it; "
      "its message is above\n");
  const json document = json::parse(bench({"--engine", "slurm", "--tasks", "2", "--json"}, path()).out);
  EXPECT_EQ(document["error"],
            "srun failed with exit code 1, and Slurm knows no job of it; its message is above");
  EXPECT_EQ(document["exit_code"], 1);
}

TEST_F(BenchNodeTest, AnInterruptionCancelsTheJob) {
  const std::string pid = folder_ / "srun.pid", cancelled = folder_ / "cancelled";
  command("srun", "echo $$ > " + pid + ".new; mv " + pid + ".new " + pid + "; exec sleep 600\n");
  command("squeue", "echo '17|RUNNING|n3'\n");
  command("scancel", "echo \"$@\" >> " + cancelled + "; kill $(cat " + pid + ")\n");
  const TempFolder output;
  const pid_t bench =
      start_program(output, words({"--engine", "slurm", "--tasks", "2"}), folder_.path(), path());
  for (int i = 0; i < 1200 && !std::filesystem::exists(pid); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ::kill(bench, SIGINT);
  const ProgramResult r = wait_for(output, bench);
  EXPECT_EQ(r.exit_code, 130);
  EXPECT_EQ(r.err, "interrupted; job 17 was cancelled\n");
  EXPECT_THAT(slurp(cancelled), StartsWith("17\n"));
}

TEST_F(BenchNodeTest, MpiStartsOneRankAndItsFailureIsTold) {
  command("mpirun",
          std::string("echo \"$1 $2 $3 $4\" > ") + (folder_ / "options").string() + "\n" + kRunsTheCommand);
  const ProgramResult r = bench({"--engine", "mpi", "--tasks", "4"}, path());
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(slurp(folder_ / "options"), "-n 1 --map-by slot:PE=1\n");
  EXPECT_THAT(r.out,
              AllOf(HasSubstr("\non mpi: 4 tasks, 1 processor each\n"), HasSubstr("\n  measured on n7: ")));
  command("mpirun", "echo 'no slots' >&2; exit 213\n");
  const ProgramResult failed = bench({"--engine", "mpi", "--tasks", "4"}, path());
  EXPECT_EQ(failed.exit_code, 213);
  EXPECT_EQ(failed.err, "no slots\nerror: mpirun failed with exit code 213; its message is above\n");
}

}  // namespace
}  // namespace graft::test
