// Learners, what corrects them and what compares them, through the program.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kCompared = R"(name: compared
run: {threads: 2}
stages:
  images: {plugin: synthetic, with: {task: target, size: 24, train: 60, val: 30, test: 40}}
  rows: {plugin: pixel_table, from: images}
  probe: {plugin: linear_probe, from: rows, with: {c: [0.0001, 0.01]}}
  knn: {plugin: knn, from: rows, with: {k: [1, 5]}}
  sure: {plugin: temperature, from: knn, with: {temperatures: [1, 4]}}
  report: {plugin: evaluate, from: [probe, knn, sure]}
  comparison: {plugin: compare, from: [knn, probe, sure], with: {cv: 3, shots: [1, 3, all], draws: 2}}
)";

struct Outcome {
  json results;
  ProgramResult program;
};

Outcome run(const TempFolder& folder, const std::string& config, const std::string& out,
            std::vector<std::string> more = {}) {
  const auto path = folder.write("config.yaml", config);
  std::vector<std::string> arguments{
      "run", path, "--out", folder / out, "--store", folder / "store", "--plugin-dir", GRAFT_TEST_PLUGINS};
  arguments.insert(arguments.end(), more.begin(), more.end());
  Outcome r;
  r.program = run_program(arguments, folder.path());
  const std::string results = slurp(folder / out / "results.json");
  if (!results.empty()) r.results = json::parse(results);
  return r;
}

TEST(Comparison, IsTheSameForAnyNumberOfThreads) {
  const TempFolder folder;
  Outcome one = run(folder, kCompared, "one", {"--set", "run.threads=1"});
  ASSERT_EQ(one.program.exit_code, 0) << one.program.err;
  Outcome eight = run(folder, kCompared, "eight", {"--set", "run.threads=8"});
  for (Outcome* r : {&one, &eight}) {
    r->results.erase("timings");
    r->results.erase("tables");
  }
  EXPECT_EQ(one.results, eight.results);
  for (const char* file : {"reports/comparison/folds.csv", "reports/comparison/shots.csv",
                           "reports/comparison/differences.csv", "predictions/sure.csv"})
    EXPECT_EQ(slurp(folder / "one" / file), slurp(folder / "eight" / file)) << file;
}

TEST(Comparison, IsTheSameWhetherNeighboursAreHeldInMemoryOrRead) {
  const TempFolder folder;
  Outcome held = run(folder, kCompared, "held");
  ASSERT_EQ(held.program.exit_code, 0) << held.program.err;
  Outcome read = run(folder, kCompared, "read", {"--set", "knn.cache=0"});
  ASSERT_EQ(read.program.exit_code, 0) << read.program.err;
  for (Outcome* r : {&held, &read}) {
    r->results.erase("timings");
    r->results.erase("tables");
  }
  EXPECT_EQ(held.results, read.results);
  for (const char* file :
       {"reports/comparison/folds.csv", "reports/comparison/shots.csv", "neighbours/knn.csv",
        "predictions/sure.csv", "models/knn/weights.safetensors", "models/sure/weights.safetensors"})
    EXPECT_EQ(slurp(folder / "held" / file), slurp(folder / "read" / file)) << file;
}

TEST(Comparison, CalibratesInEveryTrialAndLeavesDecisions) {
  const TempFolder folder;
  const json r = run(folder, kCompared, "r").results;
  const json& learners = r["reports"]["comparison"]["cross_validation"]["learners"];
  EXPECT_EQ(learners["sure"]["accuracy"], learners["knn"]["accuracy"]);
  EXPECT_NE(learners["sure"]["log_loss"], learners["knn"]["log_loss"]);
  EXPECT_EQ(r["reports"]["comparison"]["test"]["sure"]["difference"], 0);
  EXPECT_EQ(r["learners"]["sure"]["test"]["accuracy"], r["learners"]["knn"]["test"]["accuracy"]);
  EXPECT_LT(r["learners"]["sure"]["val"]["log_loss"], r["learners"]["knn"]["val"]["log_loss"]);
  EXPECT_EQ(r["learners"]["sure"]["summary"]["temperatures"][0]["temperature"], 4);
  // The bundle holds the learner's own: it is enough to predict.
  const json bundle = json::parse(slurp(folder / "r/models/sure/bundle.json"));
  EXPECT_EQ(bundle["plugin"], "temperature");
  EXPECT_EQ(bundle["base"]["plugin"], "knn");
  EXPECT_EQ(slurp(folder / "r/models/sure/weights.safetensors"),
            slurp(folder / "r/models/knn/weights.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(folder / "r/work"));
}

TEST(Learners, AreMadeBeforeAnythingIsComputed) {
  if (!GRAFT_HAS_TORCH) GTEST_SKIP() << "built without LibTorch";
  const TempFolder folder;
  const Outcome r = run(folder, R"(name: wrong
stages:
  images: {plugin: synthetic, with: {task: target, size: 32, train: 20, val: 10, test: 10}}
  rows: {plugin: pixel_table, from: images}
  tuned:
    plugin: finetune
    from: rows
    with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors", unfreeze: {blocks: [nope]}}
  report: {plugin: evaluate, from: tuned}
)",
                        "r");
  EXPECT_EQ(r.program.exit_code, 2);
  EXPECT_THAT(r.program.err,
              HasSubstr("config.yaml:8:87: error: unfreeze: resnet14 has no block 'nope' (blocks: "));
  EXPECT_FALSE(std::filesystem::exists(folder / "store" / "tables"));
}

TEST(Trials, NeverTrainOnTest) {
  const std::pair<const char*, const char*> cases[] = {
      {"trains on test", "is of test: it may be scored, never trained on"},
      {"chooses on test", "is of test: it may be scored, never trained on"},
      {"scores what it trained on", "is used twice in one trial"},
      {"asks for nobody", "no stage 'nobody' to fit again"}};
  for (const auto& [does, why] : cases) {
    const TempFolder folder;
    const Outcome r = run(folder,
                          std::string(R"(name: meddled
stages:
  images: {plugin: synthetic, with: {task: target, size: 24, train: 20, val: 10, test: 10}}
  rows: {plugin: pixel_table, from: images}
  knn: {plugin: knn, from: rows}
  meddled: {plugin: meddler, from: knn, with: {does: )") +
                              does + "}}\n",
                          "r");
    EXPECT_EQ(r.program.exit_code, 1) << does;
    EXPECT_THAT(r.program.err, HasSubstr("stage 'meddled' (meddler, ")) << does;
    EXPECT_THAT(r.program.err, HasSubstr(why)) << does;
  }
}

TEST(Comparison, SaysWhyThereAreTooFewInputs) {
  const TempFolder folder;
  const Outcome r = run(folder, R"(name: few
stages:
  images: {plugin: synthetic, with: {task: target, size: 24, train: 2, val: 0, test: 4}}
  rows: {plugin: pixel_table, from: images}
  probe: {plugin: linear_probe, from: rows, with: {c: 0.01}}
  comparison: {plugin: compare, from: probe, with: {shots: [1]}}
  other: {plugin: compare, from: probe, with: {cv: 2}}
)",
                        "r");
  EXPECT_EQ(r.program.exit_code, 1);
  EXPECT_THAT(r.program.err, HasSubstr("stage 'other' (compare, "));
  EXPECT_THAT(
      r.program.err,
      HasSubstr("cv: 2 folds need a class of as many inputs, the largest has 1; ask for fewer folds"));
}

}  // namespace
}  // namespace graft::test
