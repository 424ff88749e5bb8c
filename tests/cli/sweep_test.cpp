// graft sweep: many values of a config's parameters, one table, the best by val alone.

#include <signal.h>

#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"
#include "small_run.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class SweepTest : public ::testing::Test {
 protected:
  ProgramResult sweep(const std::string& config, std::vector<std::string> more) {
    std::vector<std::string> arguments{
        "sweep", folder_.write("config.yaml", config), "--out", folder_ / "o", "--store", folder_ / "s"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, folder_.path());
  }
  std::string left(const std::string& name) const { return slurp(folder_ / "o" / name); }
  json results() const { return json::parse(left("sweep.json")); }
  /// A picture of one colour.
  void paint(const std::string& name, int red, int green, int blue) const {
    std::string ppm = "P6\n8 8\n255\n";
    for (int i = 0; i < 64; ++i)
      for (const int c : {red, green, blue}) ppm += static_cast<char>(c);
    folder_.write(name, ppm);
  }
  TempFolder folder_;
};

TEST_F(SweepTest, ATableWithALineForEveryCombinationAndLearner) {
  const ProgramResult r = sweep(kSmallRun, {"--grid", "probe.c=[0.01, 1]", "--grid", "knn.k=1,5"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, ContainsRegex("^  run +probe.c +knn.k +learner +val n +val accuracy +balanced +log loss "
                                   "+seconds +computed\n"
                                   "  001 [ *] +0.01 +1 +probe +20 "));
  EXPECT_THAT(r.out, ContainsRegex("\n  004 [ *] +1 +5 +knn +20 "));
  EXPECT_THAT(r.err, HasSubstr("[003 of 4] probe.c=1 knn.k=1\nrows: 120 rows (0 computed, 120 reused)"));

  const json found = results();
  ASSERT_EQ(found["combinations"].size(), 4u);
  EXPECT_EQ(found["combinations"][1]["set"], (json{{"probe.c", "0.01"}, {"knn.k", "5"}}));
  EXPECT_EQ(found["combinations"][0]["computed"], 120);
  for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(found["combinations"][i]["computed"], 0);
  const json run = json::parse(left("004/results.json"));
  EXPECT_EQ(found["combinations"][3]["learners"]["knn"]["val"]["accuracy"],
            run["learners"]["knn"]["val"]["accuracy"]);

  const std::string csv = left("sweep.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 9);
  EXPECT_THAT(
      csv, ContainsRegex("^run,probe.c,knn.k,learner,status,val_n,val_accuracy,val_balanced_accuracy,"
                         "[^\n]*val_log_loss,[^\n]*seconds,computed,reused,error\n001,0.01,1,probe,ok,20,0"));
  EXPECT_EQ(left("best.yaml"), left(found["best"]["run"].get<std::string>() + "/config.yaml"));
  EXPECT_THAT(left("best.yaml"), HasSubstr("name: \"small\""));
}

TEST_F(SweepTest, AListOfBackbonesWithTheSizeOfTheirFiles) {
  const std::string weights =
      slurp(std::string(GRAFT_SOURCE_DIR) + "/configs/quickstart_backbone.safetensors");
  folder_.write("weights/copy.safetensors", weights);
  folder_.write("weights/list.yaml",
                "- {features.model: copy.safetensors}\n"  // beside the list
                "- features.untrained: true\n"
                "  features.architecture: resnet14\n"
                "- features.model: ${GRAFT_SHARE}/configs/quickstart_backbone.safetensors\n");
  const ProgramResult r = sweep(kSmallRun, {"--list", folder_ / "weights/list.yaml", "--json"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.err, "");
  const json found = json::parse(r.out);
  EXPECT_EQ(found, results());
  EXPECT_EQ(found["combinations"][0]["files"], (json{{"features.model", weights.size()}}));
  EXPECT_FALSE(found["combinations"][1].contains("files"));
  EXPECT_EQ(found["combinations"][2]["computed"], 0) << "the same weights by another path";
  EXPECT_THAT(left("sweep.csv"), ContainsRegex("\n001,copy.safetensors,,,probe,ok,20,[^\n]*," +
                                               std::to_string(weights.size()) + ",\n"));
  EXPECT_THAT(left("sweep.csv"), ContainsRegex("\n002,,true,resnet14,probe,ok,20,[^\n]*,,\n"));
  const std::string table = sweep(kSmallRun, {"--list", folder_ / "weights/list.yaml"}).out;
  EXPECT_THAT(table, ContainsRegex("computed +MB\n  001 [ *] +copy.safetensors +- +- +probe "));
}

TEST_F(SweepTest, TheBestIsChosenByValAndTestIsToldOfItAlone) {
  // Of k = 1 and k = 5, val prefers the first and test the second: a cat that looks like a dog.
  for (int i = 0; i < 5; ++i) {
    paint("data/train/cats/" + std::to_string(i) + ".ppm", i == 0 ? 0 : 200, 10, i == 0 ? 200 : i);
    paint("data/train/dogs/" + std::to_string(i) + ".ppm", 0, 0, 200 + i);
  }
  paint("data/val/cats/odd.ppm", 0, 10, 200);
  paint("data/val/cats/red.ppm", 190, 10, 3);
  paint("data/val/dogs/blue.ppm", 0, 0, 190);
  paint("data/test/cats/red.ppm", 180, 10, 3);
  paint("data/test/dogs/odd.ppm", 0, 10, 200);
  paint("data/test/dogs/odder.ppm", 0, 11, 200);
  const std::string config = R"(name: animals
run: {threads: 2}
stages:
  images: {plugin: image_folder, with: {root: data, splits: {train: train, val: val, test: test}}}
  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}
  rows: {plugin: pixel_table, from: pixels}
  knn: {plugin: knn, from: rows}
  report: {plugin: evaluate, from: knn}
)";
  const ProgramResult r = sweep(config, {"--grid", "knn.k=[5, 1]"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  const auto accuracy = [&](const char* run, const char* part) {
    return json::parse(left(std::string(run) + "/results.json"))["learners"]["knn"][part]["accuracy"];
  };
  ASSERT_LT(accuracy("001", "val"), accuracy("002", "val"));
  ASSERT_GT(accuracy("001", "test"), accuracy("002", "test"));
  EXPECT_EQ(results()["best"]["run"], "002");
  EXPECT_EQ(results()["best"]["test"]["accuracy"], accuracy("002", "test"));
  EXPECT_THAT(r.out, HasSubstr("\nbest by accuracy on val: knn of run 002, knn.k=1\n"
                               "val      accuracy 1.0000, balanced 1.0000, log loss "));
  EXPECT_THAT(r.out, ContainsRegex("\ntest     accuracy 0.3333, balanced 0.5000, log loss [0-9.]+ on 3 rows\n"
                                   "config   .*/o/best.yaml\n"));
  EXPECT_THAT(left("sweep.csv"), Not(HasSubstr("test")));
  EXPECT_THAT(results()["combinations"].dump(), Not(HasSubstr("test")));
  EXPECT_EQ(results()["combinations"][0]["learners"]["knn"]["val"]["n"], 3);

  // An input that changes makes the combinations unfinished again.
  const auto was_run = [&](const ProgramResult& again) {
    EXPECT_EQ(again.exit_code, 0) << again.err;
    return again.err.find("not run again") == std::string::npos;
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));  // fresh files are not remembered
  sweep(config, {"--grid", "knn.k=[5, 1]"});
  EXPECT_FALSE(was_run(sweep(config, {"--grid", "knn.k=[5, 1]"})));
  paint("data/val/cats/odd.ppm", 1, 10, 200);
  EXPECT_TRUE(was_run(sweep(config, {"--grid", "knn.k=[5, 1]"})));
}

TEST_F(SweepTest, WhatIsFinishedIsNotRunAgain) {
  const ProgramResult first = sweep(kSmallRun, {"--grid", "knn.k=[1, 5]"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const json before = results();
  const auto when = [&](const char* run) {
    return std::filesystem::last_write_time(folder_ / "o" / run / "results.json");
  };
  const auto one = when("001"), two = when("002");
  const ProgramResult again = sweep(kSmallRun, {"--grid", "knn.k=[1, 5]"});
  EXPECT_EQ(again.err,
            "[001 of 2] knn.k=1\n  finished before; not run again\n"
            "[002 of 2] knn.k=5\n  finished before; not run again\n");
  EXPECT_EQ(again.out, first.out);
  EXPECT_EQ(results(), before);
  // Another value, another seed, a lost result, a mark that is no JSON: run again, and that alone.
  sweep(kSmallRun, {"--grid", "knn.k=[1, 7]"});
  EXPECT_EQ(when("001"), one);
  EXPECT_NE(when("002"), two);
  folder_.write("o/001/sweep_done.json", "half");
  sweep(kSmallRun, {"--grid", "knn.k=[1, 7]"});
  EXPECT_NE(when("001"), one);
  EXPECT_THAT(sweep(kSmallRun, {"--grid", "knn.k=[1, 7]", "--set", "seed=7"}).err,
              Not(HasSubstr("not run again")));
}

TEST_F(SweepTest, CombinationsOfTheSweepBeforeAreKeptWhereThisOneHasFewer) {
  ASSERT_EQ(sweep(kSmallRun, {"--grid", "knn.k=[1, 5, 9]"}).exit_code, 0);
  const std::string table = left("sweep.csv"), third = left("003/results.json");
  const ProgramResult fewer = sweep(kSmallRun, {"--grid", "knn.k=[1]"});
  EXPECT_EQ(fewer.exit_code, 0) << fewer.err;
  EXPECT_THAT(fewer.err, HasSubstr("warning: the sweep before had 2 combinations more: now in " +
                                   (folder_ / "o").string() + ".1\n"));
  EXPECT_EQ(slurp(folder_ / "o.1/003/results.json"), third);
  EXPECT_EQ(slurp(folder_ / "o.1/sweep.csv"), table);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "o/003"));
}

TEST_F(SweepTest, OtherWeightsOfALearnerAreAnotherCombination) {
  if (!GRAFT_HAS_TORCH) GTEST_SKIP() << "built without LibTorch";
  std::string weights = slurp(std::string(GRAFT_SOURCE_DIR) + "/configs/quickstart_backbone.safetensors");
  folder_.write("net.safetensors", weights);
  const std::string config = R"(name: tuned
stages:
  images: {plugin: synthetic, with: {task: target, size: 32, train: 40, val: 20, test: 0}}
  rows: {plugin: pixel_table, from: images}
  tuned: {plugin: finetune, from: rows, with: {model: net.safetensors, epochs: 0}}
  report: {plugin: evaluate, from: tuned}
)";
  ASSERT_EQ(sweep(config, {"--grid", "tuned.probe_c=[1]"}).exit_code, 0);
  EXPECT_THAT(sweep(config, {"--grid", "tuned.probe_c=[1]"}).err, HasSubstr("not run again"));
  weights[weights.size() - 2] = static_cast<char>(weights[weights.size() - 2] ^ 0x10);
  folder_.write("net.safetensors", weights);
  EXPECT_THAT(sweep(config, {"--grid", "tuned.probe_c=[1]"}).err, Not(HasSubstr("not run again")));
}

TEST_F(SweepTest, AnInterruptedSweepGoesOn) {
  std::string config = kSmallRun;
  config.replace(config.find("train: 60"), 9, "train: 2000");
  const auto path = folder_.write("config.yaml", config);
  const std::vector<std::string> arguments{
      "sweep",   path,          "--out",  folder_ / "o",
      "--store", folder_ / "s", "--grid", "images.noise=[0.1, 0.2, 0.3]"};
  const pid_t pid = start_program(folder_, arguments);
  for (int i = 0; i < 6000 && !std::filesystem::exists(folder_ / "o/001/results.json"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ::kill(pid, SIGTERM);
  const ProgramResult cut = wait_for(folder_, pid);
  EXPECT_EQ(cut.exit_code, 143);
  EXPECT_THAT(cut.out,
              ContainsRegex("interrupted: [12] of 3 combinations are finished\nresume with: .*--grid"));
  EXPECT_THAT(cut.out, Not(HasSubstr("best")));
  const ProgramResult rest = run_program(arguments);
  EXPECT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_THAT(rest.err, HasSubstr("[001 of 3] images.noise=0.1\n  finished before; not run again\n"));
  EXPECT_EQ(results()["combinations"].size(), 3u);
}

TEST_F(SweepTest, EveryFaultOfEveryCombinationIsToldOnceBeforeAnyWork) {
  folder_.write("list.yaml", "- {knn.k: 3}\n- {knn.k: none, seed: -1}\n");
  const ProgramResult r = sweep(kSmallRun, {"--list", folder_ / "list.yaml", "--grid", "prob.c=1,2", "--grid",
                                            "knn.temperature=[0.1, warm]"});
  EXPECT_EQ(r.exit_code, 2);
  EXPECT_EQ(r.out, "");
  const std::string list = folder_ / "list.yaml", config = folder_ / "config.yaml";
  EXPECT_EQ(r.err,
            "--grid:1:1: error: no stage 'prob'; did you mean 'probe'? (stages: images, features, rows, "
            "probe, knn, "
            "report)\n"
            "    prob.c=1,2\n"
            "    ^\n"
            "--grid:1:23: error: temperature: expected number, got text \"warm\"\n"
            "    knn.temperature=[0.1, warm]\n"
            "                          ^\n" +
                list +
                ":2:11: error: k: expected integer, got text \"none\"\n"
                "    - {knn.k: none, seed: -1}\n"
                "              ^\n" +
                list +
                ":2:23: error: seed: expected an integer of at least 0, got -1\n"
                "    - {knn.k: none, seed: -1}\n"
                "                          ^\n"
                "4 errors in the sweep of " +
                config + "; nothing was run\n");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "o"));

  const auto fault = [&](std::vector<std::string> more) { return sweep(kSmallRun, std::move(more)).err; };
  const std::string end = "\n1 error in the sweep of " + config + "; nothing was run\n";
  EXPECT_EQ(fault({"--grid", "knn.k"}),
            "--grid:1:1: error: expected stage.key=value, run.key=value, name=value or seed=value\n"
            "    knn.k\n    ^" +
                end);
  EXPECT_EQ(fault({"--grid", "knn.k=[]"}),
            "--grid:1:1: error: expected values: --grid \"knn.k=[1, 2]\"\n    knn.k=[]\n    ^" + end);
  folder_.write("list.yaml", "knn.k: 3\n");
  EXPECT_EQ(fault({"--list", list}),
            list +
                ":1:1: error: expected a list of maps such as `- {probe.c: 1, knn.k: "
                "5}`, got map\n    knn.k: 3\n    ^" +
                end);
  folder_.write("list.yaml", "- 3\n");
  EXPECT_EQ(
      fault({"--list", list}),
      list + ":1:3: error: expected a map such as {probe.c: 1, knn.k: 5}, got text\n    - 3\n      ^" + end);
  std::string many = "knn.k=1";
  for (int i = 2; i <= 40; ++i) many += "," + std::to_string(i);
  const std::string seeds = "seed" + many.substr(many.find('='));
  EXPECT_EQ(fault({"--grid", many, "--grid", seeds}),
            "command line: error: 1600 combinations; a sweep has at most 1000" + end);
  EXPECT_EQ(
      sweep("name: x\nstages:\n  images: {plugin: synthetic}\n  rows: {plugin: pixel_table, from: images}\n"
            "  knn: {plugin: knn, from: rows}\n",
            {"--grid", "knn.k=1,2"})
          .err,
      config +
          ": error: a sweep chooses by scores on val, and nothing makes them here; add a stage such as "
          "`report: {plugin: evaluate, from: [probe]}`" +
          end);
  EXPECT_THAT(fault({}),
              HasSubstr("error: nothing to vary: give --grid \"knn.k=[1, 5, 10]\", or --list FILE\n"));
  EXPECT_THAT(fault({"--grid", "knn.k=1", "--metric", "acuracy"}),
              HasSubstr("error: --metric: 'acuracy' is not a score of this config's reports; did you mean "
                        "'accuracy'? (allowed: mean_average_precision, accuracy, balanced_accuracy, "));
  EXPECT_EQ(run_program({"run", "x.yaml", "--grid", "knn.k=1"}).err,
            "error: --grid is an option of graft sweep\nusage: graft run CONFIG\n");
}

TEST_F(SweepTest, ACombinationThatFailsIsNotedAndTheOthersRun) {
  const ProgramResult r = sweep(kSmallRun, {"--grid", "images.classes=[12, 4]", "--quiet"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr("failed: stage 'images' (synthetic, "));
  EXPECT_THAT(r.err, ContainsRegex("\n  001 +12 +failed +- +- +- +- +- +-\n  002 [ *] +4 +probe +20 "));
  EXPECT_THAT(r.err,
              ContainsRegex("\n001 failed: stage 'images' .synthetic, .*: classes: expected at most 10"));
  EXPECT_EQ(results()["combinations"][0]["status"], "failed");
  EXPECT_THAT(results()["combinations"][0]["error"], HasSubstr("classes: expected at most 10"));
  EXPECT_EQ(results()["best"]["run"], "002");
  EXPECT_THAT(left("sweep.csv"), ContainsRegex("\n001,12,,failed,,+\"stage .images. "));
  EXPECT_THAT(sweep(kSmallRun, {"--grid", "images.classes=[12, 4]"}).err,
              HasSubstr("[002 of 2] images.classes=4\n  finished before; not run again\n"));
}

TEST_F(SweepTest, NoFiguresOnValIsAClearError) {
  const ProgramResult r =
      sweep(kSmallRun, {"--grid", "knn.k=1,5", "--set", "images.val=0", "--set", "probe.c=1"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.out,
              HasSubstr("no learner has scores on val: give the source val rows (val_fraction), and name "
                        "the learners in `from` of an evaluate stage\n"));
  EXPECT_THAT(r.out, Not(HasSubstr("best")));
}

TEST_F(SweepTest, AMetricOfOtherLabelsEndsItAfterTheFirstCombination) {
  const ProgramResult r = sweep(kSmallRun, {"--grid", "knn.k=1,5,10", "--metric", "hamming_loss"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err,
              HasSubstr("error: --metric: no learner of combination 001 has a value of 'hamming_loss' on "
                        "val, so that none would be the best by it: choose a score that they have "
                        "(accuracy, balanced_accuracy, "));
  EXPECT_THAT(r.err, Not(HasSubstr("[002 of 3]")));
  EXPECT_EQ(sweep(kSmallRun, {"--grid", "knn.k=1,5", "--metric", "log_loss", "--quiet"}).exit_code, 0);
}

TEST_F(SweepTest, PluginsAndWholeParametersMayVary) {
  folder_.write("list.yaml",
                "- {knn.k: 3, knn.plugin: knn}\n"
                "- {knn.c: 2, knn.plugin: linear_probe}\n"  // the plugin first, whatever the order
                "- {knn.with: {k: 7, temperature: 1}}\n"
                "- {run.threads: 1, seed: 7}\n");
  const ProgramResult r = sweep(kSmallRun, {"--list", folder_ / "list.yaml", "--set", "knn.temperature=0.5"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(left("001/config.yaml"), HasSubstr("plugin: knn"));
  EXPECT_THAT(left("002/config.yaml"), HasSubstr("c: [2.0]"));
  EXPECT_THAT(left("002/config.yaml"), Not(HasSubstr("temperature")));
  EXPECT_THAT(left("003/config.yaml"), HasSubstr("k: [7]"));
  EXPECT_THAT(left("004/config.yaml"), HasSubstr("seed: 7"));
  EXPECT_THAT(left("sweep.csv"), HasSubstr("\"{\"\"k\"\":7,\"\"temperature\"\":1}\""));
}

}  // namespace
}  // namespace graft::test
