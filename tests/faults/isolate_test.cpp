// graft run --isolate: the calls of a stage in processes of their own. What comes to harm there is an item,
// never the run; what does not has the bits that it has without.

#include <signal.h>

#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"
#include "sanitizers.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct Trial {
  std::string kind = "transform", does = {};
  std::string on = "[item 5, item 17]";
  int threads = 2;
  std::string run = {};  ///< More of the run block.
  bool isolated = true;
};

class IsolateTest : public ::testing::TestWithParam<std::string> {
 protected:
  std::string config(const Trial& t) const {
    return "name: isolate\nrun: {threads: " + std::to_string(t.threads) + ", max_rejects: 100%" + t.run +
           "}\nstages:\n  source: {plugin: misbehaving_source}\n  stage: {plugin: fragile_" + t.kind +
           ", from: source, with: {on: " + t.on + ", does: \"" + t.does + "\", mark: \"" +
           (folder_ / "mark").string() + "\"}}\n  rows: {plugin: misbehaving_collector, from: stage}\n";
  }
  std::vector<std::string> arguments(const Trial& t) const {
    const fs::path path = folder_.write("config.yaml", config(t));
    std::vector<std::string> out{"run",   path,          "--plugin-dir", GRAFT_TEST_PLUGINS,
                                 "--out", folder_ / "r", "--store",      folder_ / "s"};
    if (t.isolated) out.insert(out.end(), {"--isolate", "stage"});
    return out;
  }
  ProgramResult run(const Trial& t) const {
    fs::remove_all(folder_ / "s");
    return run_program(arguments(t));
  }
  /// The rows of the one table, in the order of the inputs.
  std::string rows() const {
    const std::string npy = folder_ / "rows.npy";
    fs::remove(npy);
    const std::string table = fs::directory_iterator(folder_ / "s/tables")->path().filename();
    const ProgramResult r = run_program({"store", "export", table, npy, "--store", folder_ / "s"});
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return slurp(npy);
  }
  std::string inputs() const { return slurp(folder_ / "r/inputs.csv"); }

  TempFolder folder_;
};

/// The lines of a text that have `part` in them.
std::string lines_with(const std::string& text, const std::string& part) {
  std::istringstream in(text);
  std::string out;
  for (std::string line; std::getline(in, line);)
    if (line.find(part) != std::string::npos) out += line + "\n";
  return out;
}

/// Processes with this entry in their environment, but for this one.
std::vector<pid_t> processes_of(const std::string& entry) {
  std::vector<pid_t> out;
  for (const auto& process : fs::directory_iterator("/proc", fs::directory_options::skip_permission_denied)) {
    const std::string name = process.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (slurp(process.path() / "environ").find(entry) != std::string::npos) out.push_back(std::stoi(name));
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(Kinds, IsolateTest, ::testing::Values("transform", "batch"),
                         [](const auto& info) { return info.param; });

TEST_P(IsolateTest, RowsHaveTheSameBits) {
  Trial t{.kind = GetParam(), .isolated = false};
  ASSERT_EQ(run(t).exit_code, 0);
  const std::string wanted = rows(), inputs_wanted = inputs();
  EXPECT_GT(wanted.size(), 30u * 16);
  t.isolated = true;
  for (const int threads : {1, 8}) {
    t.threads = threads;
    const ProgramResult r = run(t);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    EXPECT_EQ(rows(), wanted);
    EXPECT_EQ(inputs(), inputs_wanted);
    EXPECT_THAT(slurp(folder_ / "r/manifest.json"), HasSubstr("\"ended_early\": 0"));
  }
}

TEST_P(IsolateTest, AnItemThatEndsTheProcessIsRejectedAndTheOthersAreNot) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer answers crashes itself";
  const std::pair<std::string, std::string> cases[] = {
      {"segv", "[crashed] the stage's process crashed (Segmentation fault)"},
      {"abort", "[crashed] the stage's process crashed (Aborted)"},
      {"exit", "[crashed] the plugin ended the stage's process with exit code 3"},
      {"_exit", "[crashed] the plugin ended the stage's process with exit code 0"},
      {"end the thread", "[crashed] the plugin ended the thread that it was called in (pthread_exit)"},
      {"end the thread without a word",
       "[crashed] the plugin ended the thread that it was called in (pthread_exit)"}};
  for (const auto& [does, text] : cases) {
    Trial t{.kind = GetParam(), .does = does, .threads = 1};
    const ProgramResult r = run(t);
    EXPECT_EQ(r.exit_code, 0) << does << r.err;
    EXPECT_THAT(r.err, HasSubstr("rows: 28 rows (28 computed, 0 reused)")) << does;
    const std::string rows_of_one = rows(), inputs_of_one = inputs();
    EXPECT_THAT(lines_with(inputs_of_one, "item 5,"), HasSubstr(text.substr(text.find(' ') + 1)))
        << inputs_of_one;
    EXPECT_THAT(r.out, HasSubstr("28 of 30 ok, 2 rejected")) << r.out;
    EXPECT_THAT(slurp(folder_ / "r/manifest.json"), Not(HasSubstr("\"ended_early\": 0")));
    t.threads = 8;
    EXPECT_EQ(run(t).exit_code, 0);
    EXPECT_EQ(rows(), rows_of_one) << does;
    EXPECT_EQ(inputs(), inputs_of_one) << does;
    // The outcome is stored: without isolation the run ends well now.
    t.isolated = false;
    EXPECT_EQ(run_program(arguments(t)).exit_code, 0) << does;
  }
}

TEST_P(IsolateTest, AProcessThatAPluginLeavesBehindKeepsNoItemWaiting) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer answers crashes itself";
  const ProgramResult r = run({.kind = GetParam(), .does = "fork and abort"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(lines_with(inputs(), "item 5,"), HasSubstr("the stage's process crashed (Aborted)"));
  EXPECT_THAT(r.out, HasSubstr("28 of 30 ok, 2 rejected"));
}

TEST_P(IsolateTest, AForkedProcessThatComesBackFromTheCallDoesNotAnswer) {
  ASSERT_EQ(run({.kind = GetParam(), .isolated = false}).exit_code, 0);
  const std::string wanted = rows();
  for (const int threads : {1, 8}) {
    const ProgramResult r = run({.kind = GetParam(), .does = "fork", .threads = threads});
    EXPECT_EQ(r.exit_code, 0) << r.err;
    EXPECT_THAT(r.err,
                HasSubstr("warning: stage 'stage' (fragile_" + GetParam() +
                          "): apply has forked a process that came back from the call and is ended; end "
                          "it with _exit(), also where exec() fails\n"));
    EXPECT_EQ(rows(), wanted);
  }
}

TEST_P(IsolateTest, DamageThatAnItemLeavesIsNotTheOtherItemsFault) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer answers crashes itself";
  ASSERT_EQ(run({.kind = GetParam(), .isolated = false}).exit_code, 0);
  const std::string wanted = rows();
  for (const int threads : {1, 8}) {
    const ProgramResult r = run({.kind = GetParam(), .does = "leave damage", .threads = threads});
    EXPECT_EQ(r.exit_code, 0) << r.err;
    EXPECT_THAT(r.out, HasSubstr("30 of 30 ok"));
    EXPECT_EQ(rows(), wanted);
  }
}

TEST_P(IsolateTest, ACallThatHangsIsEndedByTheStallLimit) {
  const std::string limit = kSanitized ? "10" : "1";  // a process that is started again has no more time
  for (const char* does : {"hang", "warn for ever"}) {
    const Trial t{.kind = GetParam(),
                  .does = does,
                  .on = "[item 5]",
                  .run = ", stall_seconds: 100, stall_limit: " + limit};
    const ProgramResult r = run(t);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    EXPECT_THAT(
        lines_with(inputs(), "item 5,"),
        HasSubstr("no result after " + limit + " s (run.stall_limit), and the stage's process was killed"));
    EXPECT_THAT(r.out, HasSubstr("29 of 30 ok, 1 rejected"));
  }
}

TEST_P(IsolateTest, ACallThatSaysThatItWaitsDoesNotHang) {
  const ProgramResult r = run(
      {.kind = GetParam(), .does = "wait", .on = "[item 5]", .run = ", stall_seconds: 100, stall_limit: 3"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("30 of 30 ok"));
}

TEST_P(IsolateTest, AProcessThatKeepsMoreAndMoreMemoryIsReplaced) {
  if (kSanitized) GTEST_SKIP() << "sanitizers map memory of their own";
  std::string all = "[item 0";
  for (int i = 1; i < 30; ++i) all += ", item " + std::to_string(i);
  const ProgramResult r =
      run({.kind = GetParam(), .does = "leak", .on = all + "]", .threads = 1, .run = ", memory: 64MiB"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("30 of 30 ok"));
  EXPECT_THAT(r.err,
              HasSubstr("warning: stage: its process holds more and more memory from call to call, and is "
                        "replaced by another one each time that it has grown too large\n"));
  EXPECT_THAT(slurp(folder_ / "r/manifest.json"),
              AllOf(HasSubstr("\"ended_early\": 0"), Not(HasSubstr("\"processes\": 1,"))));
}

// A stage with several outputs, whose engine is another plugin.
TEST_F(IsolateTest, ABackboneGivesTheSameBits) {
  const fs::path config = folder_.write("backbone.yaml", R"(name: backbone
run: {threads: 2}
stages:
  images: {plugin: synthetic, with: {train: 20, val: 10, test: 10, size: 16}}
  stage:
    plugin: backbone
    from: images
    with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors", batch: 8, taps: [layer2, avgpool]}
  middle: {plugin: feature_table, from: stage.layer2}
  last: {plugin: feature_table, from: stage.avgpool}
)");
  const auto rows_of = [&](const std::vector<std::string>& more) {
    fs::remove_all(folder_ / "s");
    std::vector<std::string> words{"run", config, "--out", folder_ / "r", "--store", folder_ / "s"};
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult r = run_program(words);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    std::string out;
    for (const char* table : {"backbone/middle", "backbone/last"}) {
      const std::string npy = folder_ / "rows.npy";
      fs::remove(npy);
      const ProgramResult exported = run_program({"store", "export", table, npy, "--store", folder_ / "s"});
      EXPECT_EQ(exported.exit_code, 0) << exported.err;
      out += slurp(npy);
    }
    return out;
  };
  const std::string wanted = rows_of({});
  EXPECT_GT(wanted.size(), 40u * 64 * 4);
  EXPECT_EQ(rows_of({"--isolate", "stage"}), wanted);
  EXPECT_THAT(slurp(folder_ / "r/manifest.json"), HasSubstr("\"ended_early\": 0"));
}

TEST_F(IsolateTest, AnItemThatNeedsTooMuchMemoryIsRejected) {
  if (kSanitized) GTEST_SKIP() << "sanitizers map memory of their own";
  const ProgramResult r = run({.does = "allocate", .run = ", memory: 64MiB"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(lines_with(inputs(), "item 5,"), HasSubstr("out-of-memory"));
  EXPECT_THAT(r.out, HasSubstr("28 of 30 ok, 2 rejected"));
}

TEST_F(IsolateTest, WhatAStageThrowsAndWarnsOfIsReportedAsWithoutIsolation) {
  for (const char* does : {"throw", "reject", "warn", "end the run"}) {
    Trial t{.does = does, .on = "[item 5]", .threads = 1, .isolated = false};
    const ProgramResult inside = run(t);
    const std::string inputs_inside = inputs();
    t.isolated = true;
    const ProgramResult isolated = run(t);
    EXPECT_EQ(isolated.exit_code, inside.exit_code) << does;
    EXPECT_EQ(lines_with(isolated.err, "warning"), lines_with(inside.err, "warning")) << does;
    EXPECT_EQ(lines_with(isolated.err, "error"), lines_with(inside.err, "error")) << does;
    EXPECT_EQ(inputs(), inputs_inside) << does;
  }
}

TEST_F(IsolateTest, InvalidOutputIsReportedAsWithoutIsolation) {
  for (const std::string kind : {"transform", "batch"})
    for (const std::string wrong :
         {"tensor without data", "negative extent", "extents that overflow", "image without data",
          "narrow stride", "negative stride", "negative width", "no height", "bytes without data", "nothing",
          "a file", "an item out of range", "a port out of range", "a reject out of range", "no results",
          "two results", "a result and a reject"}) {
      const fs::path path =
          folder_.write("wrong.yaml",
                        "name: wrong\nrun: {threads: 1, max_rejects: 100%}\nstages:\n"
                        "  source: {plugin: misbehaving_source}\n  stage: {plugin: misbehaving_" +
                            kind + ", from: source, with: {does: \"" + wrong +
                            "\"}}\n  rows: {plugin: misbehaving_collector, from: stage}\n");
      const auto run_with = [&](const std::vector<std::string>& more) {
        fs::remove_all(folder_ / "s");
        std::vector<std::string> words{"run",   path,          "--plugin-dir", GRAFT_TEST_PLUGINS,
                                       "--out", folder_ / "r", "--store",      folder_ / "s"};
        words.insert(words.end(), more.begin(), more.end());
        const ProgramResult r = run_program(words);
        return lines_with(r.err, "warning") + lines_with(r.err, "error") + std::to_string(r.exit_code);
      };
      const std::string inside = run_with({});
      EXPECT_EQ(run_with({"--isolate", "stage"}), inside) << kind << ": " << wrong;
    }
}

TEST_F(IsolateTest, WhatBelongsToTheProcessStaysAsItIs) {
  for (const std::string at : {"constructor", "apply"})
    for (const std::string does : {"setlocale", "chdir", "fast math", "umask", "ignore SIGTERM", "setenv"}) {
      const fs::path path = folder_.write(
          "process.yaml",
          "name: process\nrun: {threads: 1, max_rejects: 100%}\nstages:\n"
          "  source: {plugin: misbehaving_source}\n  stage: {plugin: misbehaving_transform, from: "
          "source, with: {at: \"" +
              at + "\", does: \"" + does + "\"}}\n  rows: {plugin: misbehaving_collector, from: stage}\n");
      fs::remove_all(folder_ / "s");
      const ProgramResult r = run_program({"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out",
                                           folder_ / "r", "--store", folder_ / "s", "--isolate", "stage"});
      EXPECT_EQ(r.exit_code, 1) << at << " " << does;
      const std::string error = lines_with(r.err, "error: ");
      EXPECT_THAT(error,
                  HasSubstr("error: stage 'stage' (misbehaving_transform, " + path.string() + ":5:3)"));
      EXPECT_THAT(error, HasSubstr(": " + at + (does == "setlocale" ? " calls setlocale: " : " changes ")));
    }
}

TEST_F(IsolateTest, WhoIsIsolatedIsNotSuspectedOfWhatAnotherStageDid) {
  const fs::path path = folder_.write(
      "process.yaml",
      "name: process\nrun: {threads: 2}\nstages:\n  source: {plugin: misbehaving_source}\n  stage: {plugin: "
      "misbehaving_transform, from: source}\n  rows: {plugin: misbehaving_collector, from: stage, with: {at: "
      "encode, does: chdir}}\n");
  const auto error_of = [&](const std::vector<std::string>& more) {
    fs::remove_all(folder_ / "s");
    std::vector<std::string> words{"run",   path,          "--plugin-dir", GRAFT_TEST_PLUGINS,
                                   "--out", folder_ / "r", "--store",      folder_ / "s"};
    words.insert(words.end(), more.begin(), more.end());
    return lines_with(run_program(words).err, "error: ");
  };
  const std::string what = "error: one of these stages changes the working folder from " +
                           fs::current_path().string() +
                           " to /: what belongs to the process stays as it is: ";
  const std::string source = "stage 'source' (misbehaving_source, " + path.string() + ":4:3)",
                    stage = "stage 'stage' (misbehaving_transform, " + path.string() + ":5:3)",
                    rows = "stage 'rows' (misbehaving_collector, " + path.string() + ":6:3)";
  EXPECT_EQ(error_of({}), what + source + ", " + stage + ", " + rows +
                              "; to find out which, run with an empty --store and --isolate stage\n");
  EXPECT_EQ(error_of({"--isolate", "stage"}), what + source + ", " + rows + "\n");
}

// As in the process of graft, by the limit that stall_seconds implies.
TEST_F(IsolateTest, AStageThatHangsBesideItsItemsEndsTheRun) {
  for (const std::string at : {"constructor", "finish"}) {
    const fs::path path = folder_.write(
        "hang.yaml",
        "name: hang\nrun: {threads: 1, stall_seconds: 0.5}\nstages:\n  source: {plugin: misbehaving_source}\n"
        "  stage: {plugin: misbehaving_transform, from: source, with: {at: \"" +
            at + "\", does: hang}}\n  rows: {plugin: misbehaving_collector, from: stage}\n");
    fs::remove_all(folder_ / "s");
    const ProgramResult r = run_program({"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out",
                                         folder_ / "r", "--store", folder_ / "s", "--isolate", "stage"});
    EXPECT_EQ(r.exit_code, 1) << at;
    EXPECT_THAT(
        lines_with(r.err, "error: "),
        HasSubstr("error: stage 'stage' (misbehaving_transform, " + path.string() +
                  ":5:3): no result after 1 s (run.stall_limit), and the stage's process was killed\n"));
  }
}

TEST_F(IsolateTest, AStageThatCannotBeMadeEndsTheRun) {
  const std::string stage =
      "error: stage 'stage' (fragile_transform, " + (folder_ / "config.yaml").string() + ":5:3): ";
  const ProgramResult thrown = run({.does = "throw in the constructor"});
  EXPECT_EQ(thrown.exit_code, 1);
  EXPECT_THAT(thrown.err, HasSubstr(stage + "it cannot be made\n"));
  if (kSanitized) GTEST_SKIP() << "the sanitizer answers crashes itself";
  const ProgramResult crashed = run({.does = "crash in the constructor"});
  EXPECT_EQ(crashed.exit_code, 1);
  EXPECT_THAT(crashed.err, HasSubstr(stage + "the stage's process crashed (Segmentation fault)\n"));
}

TEST_F(IsolateTest, TheRunEndsWhereTheConfigSaysSo) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer answers crashes itself";
  const ProgramResult r = run({.does = "segv", .on = "[item 5]", .run = ", on_error: fail"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(
      r.err, HasSubstr("error: stage 'stage' (fragile_transform, " + (folder_ / "config.yaml").string() +
                       ":5:3), item 'item 5': the stage's process crashed (Segmentation fault) [crashed]\n"));
}

TEST_F(IsolateTest, StagesThatCannotBeIsolatedAreNamed) {
  const auto error_of = [&](const std::string& stage) {
    std::vector<std::string> words = arguments({.isolated = false});
    words.insert(words.end(), {"--isolate", stage});
    const ProgramResult r = run_program(words);
    EXPECT_EQ(r.exit_code, 2);
    return lines_with(r.err, "error: ");
  };
  EXPECT_EQ(
      error_of("stag"),
      "error: --isolate: no stage 'stag'; did you mean 'stage'? (transforms and batch transforms: stage)\n");
  EXPECT_EQ(error_of("rows"),
            "error: --isolate: expected a transform or a batch transform, got the collector 'rows'\n");
}

TEST_F(IsolateTest, NoProcessOutlivesTheRun) {
  for (const int signal : {SIGINT, SIGKILL}) {
    const std::string entry = "GRAFT_ISOLATE_TEST=" + folder_.path().string();
    fs::remove(folder_ / "mark");
    fs::remove_all(folder_ / "s");
    const TempFolder output;
    const pid_t pid = start_program(output, arguments({.does = "hang", .on = "[item 5]"}), {}, {entry});
    while (!fs::exists(folder_ / "mark")) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_GE(processes_of(entry).size(), 2u);
    ::kill(pid, signal);
    const ProgramResult r = wait_for(output, pid);
    EXPECT_EQ(r.exit_code, signal == SIGINT ? 130 : 128 + SIGKILL) << r.err;
    // They see that the run is gone when the system lets them.
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!processes_of(entry).empty() && std::chrono::steady_clock::now() < limit)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_THAT(processes_of(entry), IsEmpty());
  }
}

}  // namespace
}  // namespace graft::test
