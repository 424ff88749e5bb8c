// Shards: any number of processes on one store give the rows of a single run, whatever becomes of them.

#include <signal.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
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
using ::testing::Not;

class ShardTest : public ::testing::Test {
 protected:
  static constexpr int kInputs = 120;

  ShardTest() { folder_.write("config.yaml", kSmallJob); }

  std::vector<std::string> words(const std::string& command, const std::string& store,
                                 const std::vector<std::string>& more) const {
    std::vector<std::string> out{command,         folder_ / "config.yaml", "--store",
                                 folder_ / store, "--plugin-dir",          GRAFT_TEST_PLUGINS};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  ProgramResult run(const std::string& store, const std::vector<std::string>& more,
                    const std::vector<std::string>& environment = {}) const {
    return run_program(words("run", store, more), folder_.path(), environment);
  }
  /// What a shard says of itself.
  json shard(const std::string& store, const std::string& text, std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"--json", "--shard", text});
    const ProgramResult r = run(store, more);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return json::parse(r.out, nullptr, false);
  }
  json status(const std::string& store, int exit_code) const {
    const ProgramResult r = run_program({"status", "small", "--store", folder_ / store, "--json"});
    EXPECT_EQ(r.exit_code, exit_code) << r.out << r.err;
    return json::parse(r.out, nullptr, false);
  }
  json status(const std::string& store) const {
    return json::parse(run_program({"status", "small", "--store", folder_ / store, "--json"}).out, nullptr,
                       false);
  }
  /// Starts a shard that needs `seconds` for each input.
  pid_t start_slow(const TempFolder& output, const std::string& store, const std::string& text,
                   double seconds) const {
    return start_program(
        output, words("run", store, {"--shard", text, "--set", "nap.seconds=" + std::to_string(seconds)}),
        folder_.path());
  }
  void wait_until(const std::function<bool()>& true_now) const {
    for (int i = 0; i < 600 && !true_now(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    ASSERT_TRUE(true_now());
  }
  /// Inputs that workers have finished so far.
  int finished() const {
    const json now = status("s");
    return now.contains("inputs") ? now["inputs"]["finished"].get<int>() : 0;
  }
  /// A run by one process, what it leaves and its table.
  void make_single() {
    const ProgramResult r = run("single", {"--quiet", "--out", folder_ / "single_run"});
    ASSERT_EQ(r.exit_code, 0) << r.err;
    table_ = exported("single");
  }
  std::string exported(const std::string& store) const {
    const std::string file = folder_ / (store + "-" + std::to_string(++exports_) + ".npy");
    const ProgramResult r = run_program({"store", "export", "small/rows", file, "--store", folder_ / store});
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return slurp(file);
  }
  /// Merges, and compares all of it with the single run.
  void expect_merged(const std::string& store) {
    const std::string out = folder_ / (store + "_run");
    const ProgramResult r = run(store, {"--quiet", "--merge", "--out", out});
    ASSERT_EQ(r.exit_code, 0) << r.err;
    expect_same_run(store, out);
  }
  void expect_same_run(const std::string& store, const std::string& out) {
    const auto results = [](const std::string& folder) {
      json results = json::parse(slurp(folder + "/results.json"), nullptr, false);
      results.erase("timings");
      for (const char* count : {"computed", "reused"}) results["tables"]["rows"].erase(count);
      return results;
    };
    EXPECT_EQ(results(out), results(folder_ / "single_run"));
    for (const char* file : {"/predictions/knn.csv", "/inputs.csv"})
      EXPECT_TRUE(slurp(out + file) == slurp((folder_ / "single_run").string() + file)) << file;
    EXPECT_TRUE(exported(store) == table_) << "bit for bit";
    const ProgramResult verified = run_program({"store", "verify", "--store", folder_ / store});
    EXPECT_EQ(verified.exit_code, 0) << verified.out;
    EXPECT_THAT(verified.out, HasSubstr("120 ok + 0 rejected of 120 inputs: sound"));
  }

  TempFolder folder_;
  std::string table_;
  mutable int exports_ = 0;
};

TEST_F(ShardTest, AnyNumberGivesTheRowsOfASingleRun) {
  make_single();
  for (const int count : {1, 2, 7}) {
    SCOPED_TRACE(count);
    const std::string store = "s" + std::to_string(count);
    int computed = 0;
    for (int i = 0; i < count; ++i) {
      const json done = shard(store, std::to_string(i) + "/" + std::to_string(count));
      EXPECT_EQ(done["reused"], 0) << "no input is in two shards";
      computed += done["computed"].get<int>();
      const json now = status(store, i + 1 == count ? 0 : 5);
      EXPECT_EQ(now["inputs"]["total"], kInputs);
      EXPECT_EQ(now["inputs"]["finished"], computed);
      EXPECT_EQ(now["inputs"]["remaining"], kInputs - computed);
      EXPECT_EQ(now["tables"]["rows"]["rows"], computed);
    }
    EXPECT_EQ(computed, kInputs) << "the remainder is not dropped";
    expect_merged(store);
    EXPECT_EQ(status(store, 0)["merged"], (folder_ / (store + "_run")).string());
  }
}

TEST_F(ShardTest, TheirNumberMayChange) {
  make_single();
  const int first = shard("s", "2/3")["computed"];
  int computed = first;
  for (const char* text : {"0/2", "1/2"}) {
    const json done = shard("s", text);
    computed += done["computed"].get<int>();
  }
  EXPECT_EQ(computed, kInputs);
  expect_merged("s");
}

TEST_F(ShardTest, ComeFromTheLauncher) {
  const ProgramResult r = run("s", {"--shard", "auto", "--json"},
                              {"SLURM_ARRAY_TASK_ID=1", "SLURM_ARRAY_TASK_MIN=0", "SLURM_ARRAY_TASK_MAX=3",
                               "SLURM_ARRAY_TASK_COUNT=4", "SLURM_ARRAY_JOB_ID=17", "SLURMD_NODENAME=n2"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(json::parse(r.out)["shard"], "1/4");
  EXPECT_EQ(status("s")["workers"][0]["place"], "slurm 17_1 on n2");
}

TEST_F(ShardTest, AWrongIndexIsAnErrorBeforeAnyWork) {
  const auto error = [&](const std::vector<std::string>& more,
                         const std::vector<std::string>& environment = {}) {
    const ProgramResult r = run("s", more, environment);
    EXPECT_EQ(r.exit_code, 2);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "s"));
    return r.err;
  };
  EXPECT_THAT(error({"--shard", "4/4"}),
              HasSubstr("error: --shard: expected an index from 0 to 3 for 4 shards, got 4 (4/4)\n"));
  EXPECT_THAT(error({"--shard", "one"}),
              HasSubstr("error: --shard: expected INDEX/COUNT such as 0/8, or auto, got 'one'\n"));
  EXPECT_THAT(
      error({"--shard", "auto"}, {"SLURM_PROCID=2", "SLURM_NTASKS=2"}),
      HasSubstr("expected an index from 0 to 1 for 2 shards, got 2 (SLURM_PROCID=2, SLURM_NTASKS=2)"));
  EXPECT_THAT(error({"--shard", "0/2", "--merge"}), HasSubstr("--shard and --merge: expected one of them"));
  EXPECT_THAT(error({"--shard", "0/2", "--out", "r"}), HasSubstr("--out: a shard leaves rows in the store"));
}

TEST_F(ShardTest, AMergeNamesWhatIsMissing) {
  make_single();
  const int first = shard("s", "0/3")["computed"];
  const ProgramResult r = run("s", {"--merge", "--out", folder_ / "r"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(
      r.err,
      AllOf(HasSubstr(std::to_string(kInputs - first) + " of 120 inputs have no row yet, for example '"),
            HasSubstr("(some were in no shard that was started); compute them: graft launch again, "
                      "which computes only what is missing, or graft run without --merge")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "r"));
  EXPECT_EQ(status("s", 5)["tables"]["rows"]["rows"], first) << "a merge computes nothing";
  // An ordinary run computes the rest.
  EXPECT_EQ(run("s", {"--quiet", "--out", folder_ / "rest"}).exit_code, 0);
  EXPECT_EQ(json::parse(slurp(folder_ / "rest/results.json"))["tables"]["rows"]["computed"], kInputs - first);
  expect_same_run("s", folder_ / "rest");
}

TEST_F(ShardTest, OtherSettingsAreRefusedAndNamed) {
  shard("s", "0/2");
  const ProgramResult r = run("s", {"--shard", "1/2", "--set", "images.size=20"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err,
              AllOf(HasSubstr("error: the job 'small' in "),
                    HasSubstr(" was begun with other settings: images.size 24 -> 20; run its shards with the "
                              "settings that it was begun with, give the config another name, or begin the "
                              "job again: graft launch --restart (rows that are stored stay)")));
  EXPECT_THAT(run("s", {"--merge", "--set", "images.size=20"}).err,
              HasSubstr("were computed with other settings: images.size 24 -> 20"));
  EXPECT_EQ(status("s", 5)["tables"]["rows"]["rows"], shard("s", "0/2")["reused"]);
  // Another version of graft.
  const std::filesystem::path file = folder_ / "s/jobs/small/job.json";
  std::string text = slurp(file);
  text.replace(text.find("\"graft\": \"") + 10, 1, "9");
  folder_.write("s/jobs/small/job.json", text);
  EXPECT_THAT(run("s", {"--shard", "1/2"}).err,
              ContainsRegex("begun with other settings: graft 9\\.1\\.0 -> 0\\.1\\.0"));
  folder_.write("s/jobs/small/job.json", "{");
  EXPECT_THAT(run("s", {"--shard", "1/2"}).err, HasSubstr("job.json: not the description of a job: "));
}

TEST_F(ShardTest, AFileThatIsEditedBetweenShardsIsNamed) {
  folder_.write("a.bmp", "no image");
  folder_.write("list.csv", "path,label\na.bmp,x\n");
  const std::string config = folder_.write("list.yaml", R"(name: list
run: {max_rejects: 100%}
stages:
  images: {plugin: image_list, with: {file: list.csv, root: .}}
  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}
  rows: {plugin: pixel_table, from: pixels}
  knn: {plugin: knn, from: rows}
  report: {plugin: evaluate, from: knn}
)");
  const auto shard = [&](const char* text) {
    return run_program({"run", config, "--store", folder_ / "s", "--shard", text});
  };
  const ProgramResult first = shard("0/2");
  ASSERT_EQ(first.exit_code, 0) << first.err;
  folder_.write("list.csv", "path,label\na.bmp,y\n");
  const ProgramResult second = shard("1/2");
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.err,
              ContainsRegex("begun with other settings: images\\.file has other content \\([0-9a-f]{8} -> "));
}

TEST_F(ShardTest, ADeadWorkersPartIsTakenOver) {
  make_single();
  const TempFolder output;
  const pid_t slow = start_slow(output, "s", "0/2", 0.2);
  wait_until([&] { return finished() >= 3; });
  const json running = status("s", 4);
  EXPECT_EQ(running["state"], "running");
  EXPECT_EQ(running["workers"][0]["alive"], true);
  ::kill(slow, SIGKILL);
  EXPECT_EQ(wait_for(output, slow).exit_code, 128 + SIGKILL);
  const json stuck = status("s", 5);
  EXPECT_EQ(stuck["workers"][0]["alive"], false);
  const int stored = stuck["tables"]["rows"]["rows"];
  const json rest = shard("s", "1/2");
  EXPECT_EQ(rest["computed"].get<int>() + stored, kInputs)
      << "its own part, and what the dead one had not committed";
  const json done = status("s", 0);
  EXPECT_EQ(done["inputs"]["finished"], kInputs);
  EXPECT_EQ(done["inputs"]["remaining"], 0);
  EXPECT_EQ(done["tables"]["rows"]["rows"], kInputs);
  expect_merged("s");
}

TEST_F(ShardTest, ASlowWorkerIsHelpedAndBothEnd) {
  make_single();
  const TempFolder output;
  const pid_t slow = start_slow(output, "s", "0/2", 1);
  wait_until([&] { return finished() >= 2; });
  const json fast = shard("s", "1/2");
  const ProgramResult slow_end = wait_for(output, slow);
  EXPECT_EQ(slow_end.exit_code, 0) << slow_end.err;
  EXPECT_GT(fast["computed"].get<int>(), 65) << "its own half and more";
  const json done = status("s", 0);
  EXPECT_EQ(done["inputs"]["finished"], kInputs) << "an input that changed hands counts once";
  expect_merged("s");
}

TEST_F(ShardTest, AStoppedWorkerThatWakesUpAddsNothingTwice) {
  make_single();
  const TempFolder output;
  const pid_t slow = start_slow(output, "s", "0/2", 0.2);
  wait_until([&] { return finished() >= 3; });
  ::kill(slow, SIGSTOP);
  // Half a minute without a sign of life makes it a stalled one.
  const std::filesystem::path record =
      folder_ / ("s/jobs/small/workers/" + status("s")["workers"][0]["attempt"].get<std::string>() + ".json");
  std::filesystem::last_write_time(record,
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_THAT(run_program({"status", "small", "--store", folder_ / "s"}).out,
              HasSubstr("stalled for 1:00:00"));
  shard("s", "1/2");
  ::kill(slow, SIGCONT);
  EXPECT_EQ(wait_for(output, slow).exit_code, 0);
  EXPECT_EQ(status("s", 0)["inputs"]["finished"], kInputs);
  expect_merged("s");
}

TEST_F(ShardTest, ASignalSavesWhatIsFinished) {
  make_single();
  const TempFolder output;
  const pid_t slow = start_slow(output, "s", "0/1", 0.2);
  wait_until([&] { return finished() >= 3; });
  ::kill(slow, SIGTERM);
  const ProgramResult r = wait_for(output, slow);
  EXPECT_EQ(r.exit_code, 143);
  EXPECT_THAT(r.out, HasSubstr("interrupted; what was finished is saved\nresume with: "));
  const json stuck = status("s", 5);
  EXPECT_EQ(stuck["workers"][0]["state"], "interrupted");
  const int stored = stuck["tables"]["rows"]["rows"];
  EXPECT_GE(stored, 3);
  const json rest = shard("s", "0/1");
  EXPECT_EQ(rest["computed"].get<int>() + stored, kInputs);
  expect_merged("s");
}

TEST_F(ShardTest, ManyAtOnce) {
  make_single();
  std::vector<std::unique_ptr<TempFolder>> outputs;
  std::vector<pid_t> workers;
  for (int i = 0; i < 6; ++i) {
    outputs.push_back(std::make_unique<TempFolder>());
    workers.push_back(start_slow(*outputs.back(), "s", std::to_string(i) + "/6", 0.01 * i));
  }
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const ProgramResult r = wait_for(*outputs[i], workers[i]);
    EXPECT_EQ(r.exit_code, 0) << r.err;
  }
  const json done = status("s", 0);
  EXPECT_EQ(done["inputs"]["finished"], kInputs);
  EXPECT_EQ(done["workers"].size(), 6u);
  expect_merged("s");
}

TEST_F(ShardTest, ArchivesAreDividedByArchive) {
  // As many images as make every sum of them another one.
  for (int archive = 0; archive < 5; ++archive) {
    const std::string name = "t" + std::to_string(archive);
    for (int i = 0; i < 1 << archive; ++i) {
      std::string ppm = "P6 4 4 255\n";
      for (int b = 0; b < 48; ++b) ppm += static_cast<char>(archive * 40 + i * 3 + b);
      folder_.write(name + "/x/" + std::to_string(i) + ".ppm", ppm);
    }
    folder_.write("tars/none", "");
    const std::string command =
        "tar -C " + (folder_ / name).string() + " -cf " + (folder_ / "tars").string() + "/" + name + ".tar x";
    ASSERT_EQ(std::system(command.c_str()), 0);
  }
  const std::string config = folder_.write("tars.yaml", R"(name: tars
stages:
  images: {plugin: archive, with: {root: tars}}
  pixels: {plugin: decode, from: images, with: {resize: 4, crop: 4}}
  rows: {plugin: pixel_table, from: pixels}
  knn: {plugin: knn, from: rows}
  report: {plugin: evaluate, from: knn}
)");
  int all = 0;
  for (int i = 0; i < 3; ++i) {
    const ProgramResult r =
        run_program({"run", config, "--store", folder_ / "s", "--json", "--shard", std::to_string(i) + "/3"});
    ASSERT_EQ(r.exit_code, 0) << r.err;
    const int computed = json::parse(r.out)["computed"];
    EXPECT_EQ(all & computed, 0) << "an archive is in one shard";
    all |= computed;
  }
  EXPECT_EQ(all, 31);
}

TEST_F(ShardTest, ProcessorsThatDifferAreAWarning) {
  ASSERT_EQ(run("s", {"--shard", "0/2", "-q"}).exit_code, 0);
  EXPECT_THAT(run_program({"status", "small", "--store", folder_ / "s"}).out, Not(HasSubstr("warning")));
  ASSERT_EQ(run("s", {"--shard", "1/2", "-q"}, {"GRAFT_MAX_CPU_ISA=sse41"}).exit_code, 0);
  const json now = status("s", 0);
  if (now["workers"][0]["cpu_isa"] == now["workers"][1]["cpu_isa"]) GTEST_SKIP() << "a small processor";
  EXPECT_THAT(run_program({"status", "small", "--store", folder_ / "s"}).out,
              ContainsRegex(
                  "warning: the workers' processors differ \\([a-z0-9]+, [a-z0-9]+\\), so their rows may "));
}

TEST_F(ShardTest, StatusWithoutAJobSaysHowOneBegins) {
  EXPECT_THAT(run_program({"status", "--store", folder_ / "s"}).out, HasSubstr("has no job; graft launch"));
  const ProgramResult r = run_program({"status", "small", "--store", folder_ / "s"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr("has no job 'small'; graft launch, or graft run --shard, begins one"));
  shard("s", "0/1");
  EXPECT_THAT(run_program({"status", "large", "--store", folder_ / "s"}).err,
              HasSubstr("has no job 'large'; its jobs: small"));
  const std::string by_name = run_program({"status", "small", "--store", folder_ / "s"}).out;
  EXPECT_THAT(by_name, AllOf(HasSubstr("small: done; 120 of 120 inputs finished, 0 rejected, 0 remaining\n"),
                             HasSubstr("next: graft run CONFIG --merge")));
  for (const std::string& word :
       {(folder_ / "config.yaml").string(), std::string("runs/small"), std::string("runs/small/")}) {
    const ProgramResult named =
        run_program({"status", word, "--store", folder_ / "s", "--plugin-dir", GRAFT_TEST_PLUGINS});
    EXPECT_EQ(named.exit_code, 0) << named.err;
    EXPECT_THAT(named.out, HasSubstr("small: done; 120 of 120 inputs finished"));
  }
  EXPECT_EQ(run_program({"__complete", "status", "--store", folder_ / "s", "sm"}).out, "small\t\n");
}

TEST_F(ShardTest, SmallShardsAreJoined) {
  make_single();
  for (int i = 0; i < 7; ++i) shard("s", std::to_string(i) + "/7");
  expect_merged("s");
  EXPECT_EQ(status("s", 0)["tables"]["rows"]["shards"], 7);
  const ProgramResult r = run_program({"store", "compact", "--store", folder_ / "s"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr(": 7 shards became 1 (120 rows, 0 rejects)\n"));
  EXPECT_EQ(status("s", 0)["tables"]["rows"]["shards"], 1);
  expect_merged("s");
  EXPECT_THAT(run_program({"store", "compact", "--store", folder_ / "s"}).out,
              HasSubstr("1 shard, nothing to join"));
  EXPECT_THAT(run_program({"store", "compact", "--store", folder_ / "s", "--shard-size", "1KiB"}).err,
              HasSubstr("--shard-size: expected 64.0 KiB to 4.0 GiB, got 1KiB"));
}

TEST_F(ShardTest, GcRemovesTheFoldersOfMergedJobs) {
  const std::string job = folder_ / "s/jobs/small";
  const auto gc = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"store", "gc", "--store", folder_ / "s"});
    return run_program(more).out;
  };
  shard("s", "0/2");
  EXPECT_THAT(gc({"--older-than", "1h"}), Not(HasSubstr("job"))) << "half of it is missing";
  shard("s", "1/2");
  ASSERT_EQ(run("s", {"--quiet", "--merge", "--out", folder_ / "r"}).exit_code, 0);
  EXPECT_THAT(gc({}), Not(HasSubstr("job")));
  EXPECT_THAT(gc({"--unreferenced"}), Not(HasSubstr("job"))) << "its run is there";
  EXPECT_TRUE(std::filesystem::exists(job));
  std::filesystem::remove_all(folder_ / "r");
  EXPECT_THAT(gc({"--unreferenced", "--dry-run"}),
              ContainsRegex("would remove .*jobs/small .*: a job whose run is gone\n"));
  EXPECT_TRUE(std::filesystem::exists(job));
  EXPECT_THAT(gc({"--unreferenced"}), HasSubstr("a job whose run is gone\n"));
  EXPECT_FALSE(std::filesystem::exists(job));
}

}  // namespace
}  // namespace graft::test
