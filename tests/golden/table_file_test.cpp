// Other software's learners on other software's features, through the program: skipped where the files are
// not there.

#include <cmath>
#include <cstdlib>

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace graft::test {
namespace {

using nlohmann::json;

/// Runs learners on features of ants and bees that PyTorch has made; every train row is trained on.
json run_learners(const TempFolder& folder, const std::string& golden, const std::string& learners,
                  const std::string& ids) {
  const auto config = folder.write("config.yaml", R"(name: golden
stages:
  features:
    plugin: table_file
    with:
      files:
        train: ")" + golden + R"(/hymenoptera_train_mobilenet_v1_075.h5"
        test: ")" + golden + R"(/hymenoptera_val_mobilenet_v1_075.h5"
      val_fraction: 0
  table: {plugin: feature_table, from: features}
)" + learners + "  report: {plugin: evaluate, from: [" +
                                                      ids + "]}\n");
  const ProgramResult r =
      run_program({"run", config, "--quiet", "--out", folder / "r", "--store", folder / "s"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  const std::string results = slurp(folder / "r/results.json");
  return results.empty() ? json() : json::parse(results);
}

class GoldenProbes : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* data = std::getenv("GRAFT_DATA");
    if (data != nullptr)
      golden_ = std::filesystem::absolute(std::string(data) + "/../golden").lexically_normal();
    if (golden_.empty() || !std::filesystem::exists(golden_ + "/hymenoptera_probes.json"))
      GTEST_SKIP()
          << "set GRAFT_DATA to the folder of the data; hymenoptera_probes.json is looked for in ../golden "
             "beside it";
    expected_ = json::parse(slurp(golden_ + "/hymenoptera_probes.json"));
  }
  static constexpr double kOneImage = 1.0 / 153 + 1e-9;
  TempFolder folder_;
  std::string golden_;
  json expected_;
};

TEST_F(GoldenProbes, LogisticRegressionIsScikitLearns) {
  std::string learners, ids;
  for (std::size_t i = 0; i < expected_["logistic"].size(); ++i) {
    const std::string id = "probe" + std::to_string(i);
    learners += "  " + id +
                ": {plugin: linear_probe, from: table, with: {c: " + expected_["logistic"][i]["C"].dump() +
                "}}\n";
    ids += (i == 0 ? "" : ", ") + id;
  }
  const json results = run_learners(folder_, golden_, learners, ids);
  EXPECT_EQ(results["inputs"], (json{{"total", 396}, {"ok", 396}, {"rejected", 0}}));
  for (std::size_t i = 0; i < expected_["logistic"].size(); ++i) {
    const json& wanted = expected_["logistic"][i];
    const json& got = results["learners"]["probe" + std::to_string(i)];
    const double objective = got["summary"]["path"][0]["objective"];
    EXPECT_NEAR(objective / wanted["objective"].get<double>(), 1, 1e-4) << wanted["C"];
    EXPECT_NEAR(got["test"]["accuracy"], wanted["accuracy"], kOneImage) << wanted["C"];
    EXPECT_NEAR(got["test"]["log_loss"], wanted["test_log_loss"], 1e-3) << wanted["C"];
  }
}

TEST_F(GoldenProbes, NearestNeighboursAreThoseOfNumPy) {
  std::string learners, ids;
  for (std::size_t i = 0; i < expected_["knn"].size(); ++i) {
    const std::string id = "knn" + std::to_string(i);
    learners +=
        "  " + id + ": {plugin: knn, from: table, with: {k: " + expected_["knn"][i]["k"].dump() + "}}\n";
    ids += (i == 0 ? "" : ", ") + id;
  }
  const json results = run_learners(folder_, golden_, learners, ids);
  for (std::size_t i = 0; i < expected_["knn"].size(); ++i) {
    const json& wanted = expected_["knn"][i];
    EXPECT_NEAR(results["learners"]["knn" + std::to_string(i)]["test"]["accuracy"], wanted["accuracy"], 1e-9)
        << wanted["k"];
  }
}

}  // namespace
}  // namespace graft::test
