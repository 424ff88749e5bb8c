// The demo and, where the data are, the README's real example: the numbers that people are promised.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace graft::test {
namespace {

using nlohmann::json;

json run_config(const TempFolder& folder, const std::string& config, const std::string& out,
                std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"run",           std::string(GRAFT_SOURCE_DIR) + "/configs/" + config,
                                     "--quiet",       "--out",
                                     folder / out,    "--store",
                                     folder / "store"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const ProgramResult r = run_program(arguments);
  EXPECT_EQ(r.exit_code, 0) << r.err;
  const std::string results = slurp(folder / out / "results.json");
  return results.empty() ? json() : json::parse(results);
}

TEST(Quickstart, TransferBeatsTheSameNetworkUntrained) {
  const TempFolder folder;
  const json r = run_config(folder, "quickstart.yaml", "r");
  const auto accuracy = [&](const char* learner) {
    return r["learners"][learner]["test"]["accuracy"].get<double>();
  };
  EXPECT_GE(accuracy("probe"), accuracy("untrained_probe") + 0.15);
  EXPECT_GE(accuracy("knn"), accuracy("untrained_knn") + 0.15);
}

TEST(Hymenoptera, RealPhotographsAndWeights) {
  const char* data = std::getenv("GRAFT_DATA");
  if (!GRAFT_HAS_TORCH) GTEST_SKIP() << "built without LibTorch";
  if (data == nullptr || !std::filesystem::exists(std::string(data) + "/hymenoptera"))
    GTEST_SKIP() << "set GRAFT_DATA to a folder with hymenoptera/ and weights/";
  const TempFolder folder;
  const json r = run_config(folder, "hymenoptera.yaml", "r");
  EXPECT_EQ(r["inputs"], (json{{"total", 398}, {"ok", 397}, {"rejected", 1}}));
  EXPECT_GE(r["learners"]["probe"]["test"]["accuracy"], 0.91);
  EXPECT_GE(r["learners"]["knn"]["test"]["accuracy"], 0.90);
  EXPECT_THAT(slurp(folder / "r/inputs.csv"),
              ::testing::ContainsRegex("imageNotFound.gif,train,ants,rejected,pixels,"));
  const json again = run_config(folder, "hymenoptera.yaml", "r2");
  EXPECT_EQ(again["tables"]["table"]["computed"], 0);
}

TEST(WhichBackbone, ValPrefersTheNetworkThatHasSeenPhotographs) {
  const char* data = std::getenv("GRAFT_DATA");
  if (data == nullptr || !std::filesystem::exists(std::string(data) + "/hymenoptera"))
    GTEST_SKIP() << "set GRAFT_DATA to a folder with hymenoptera/ and weights/";
  const TempFolder folder;
  const std::string config = std::string(GRAFT_SOURCE_DIR) + "/configs/which-backbone";
  const ProgramResult r = run_program({"sweep", config + ".yaml", "--list", config + ".list", "--json",
                                       "--out", folder / "o", "--store", folder / "s"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  const json found = json::parse(r.out);
  EXPECT_EQ(found["combinations"].size(), 3u);
  EXPECT_EQ(found["best"]["set"]["features.architecture"], "mobilenet_v1_075");
  EXPECT_GE(found["best"]["test"]["accuracy"], 0.9);
}

/// Small images through a network for small images.
void check_accuracy(const std::string& config, const std::string& data_set, std::size_t inputs,
                    double probe) {
  const char* data = std::getenv("GRAFT_DATA");
  if (data == nullptr || !std::filesystem::exists(std::string(data) + "/" + data_set))
    GTEST_SKIP() << "set GRAFT_DATA to a folder with " << data_set << "/ and weights/";
  const TempFolder folder;
  const json r = run_config(folder, config, "r");
  EXPECT_EQ(r["inputs"], (json{{"total", inputs}, {"ok", inputs}, {"rejected", 0}}));
  EXPECT_GE(r["learners"]["probe"]["test"]["accuracy"], probe);
}

TEST(Cifar10, ProbeOnResNet20) {
  check_accuracy("cifar10.yaml", "cifar10", 6000, 0.90);
}

TEST(Mnist, ProbeOnResNet20OfPhotographs) {
  check_accuracy("mnist.yaml", "mnist", 20000, 0.89);
}

TEST(Hymenoptera, EveryWayToTransferSideBySide) {
  const char* data = std::getenv("GRAFT_DATA");
  if (!GRAFT_HAS_TORCH) GTEST_SKIP() << "built without LibTorch";
  if (data == nullptr || !std::filesystem::exists(std::string(data) + "/hymenoptera"))
    GTEST_SKIP() << "set GRAFT_DATA to a folder with hymenoptera/ and weights/";
  const TempFolder folder;
  const json r = run_config(folder, "compare-hymenoptera.yaml", "r");
  const auto figure = [&](const std::string& learner, const char* part, const char* name) {
    return r["learners"][learner][part][name].get<double>();
  };
  for (const char* learner : {"probe", "mlp", "knn", "svd_knn", "nearest_mean", "hybrid_concat", "hybrid_mix",
                              "hybrid_cache", "finetune"}) {
    EXPECT_GE(figure(learner, "test", "accuracy"), 0.87) << learner;
    const std::string calibrated = std::string(learner) + "_calibrated";
    EXPECT_EQ(figure(calibrated, "test", "accuracy"), figure(learner, "test", "accuracy")) << learner;
    EXPECT_LE(figure(calibrated, "val", "log_loss"), figure(learner, "val", "log_loss") + 1e-6) << learner;
  }
  EXPECT_GE(figure("finetune", "test", "accuracy"), figure("probe", "test", "accuracy") - 0.02);
  for (const char* hybrid : {"hybrid_concat", "hybrid_mix", "hybrid_cache"})
    for (const json& part : r["learners"][hybrid]["summary"]["ablation"]) {
      const auto name = part["part"].get<std::string>();
      if (!name.starts_with("head") && !name.starts_with("votes")) continue;
      EXPECT_GE(figure(hybrid, "val", "accuracy"), part["val_accuracy"].get<double>())
          << hybrid << " " << name;
    }
  EXPECT_THAT(slurp(folder / "r/neighbours/knn.csv"),
              ::testing::StartsWith("key,view,split,rank,neighbour,similarity\n"));
}

}  // namespace
}  // namespace graft::test
