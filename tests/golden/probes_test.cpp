// Learners on features of real photographs, against scikit-learn's results on the same files: skipped where
// the files are not there.

#include <gmock/gmock.h>

#include <graft/testing/stage_harness.h>

#include <cmath>
#include <fstream>

#include <nlohmann/json.hpp>

#include "golden_file.h"

namespace graft {
namespace {

using golden::data_folder;
using golden::Golden;
using testing::StageHarness;

MemoryRows features(const char* split) {
  const Golden file(std::string("hymenoptera_") + split + "_mobilenet_v1_075.h5");
  auto values = file.read<float>("features", H5T_NATIVE_FLOAT);
  const auto labels = file.read<std::int32_t>("labels", H5T_NATIVE_INT32);
  const std::size_t dim = values.size() / labels.size();
  return MemoryRows(std::move(values), dim, labels);
}

TEST(Probes, ReachTheObjectivesAndAccuraciesOfScikitLearn) {
  SKIP_WITHOUT_DATA();
  std::ifstream file(data_folder() + "/../golden/hymenoptera_probes.json");
  const nlohmann::json want = nlohmann::json::parse(file);
  const MemoryRows train = features("train"), test = features("val");
  ASSERT_EQ(train.rows(), want.at("train_rows").get<std::size_t>());
  ASSERT_EQ(test.rows(), want.at("test_rows").get<std::size_t>());
  const MemoryRows no_val({}, train.dim(), {});
  ASSERT_GE(want.at("logistic").size(), 4U);
  for (const auto& step : want.at("logistic")) {
    const double c = step.at("C").get<double>();
    StageHarness probe("linear_probe", "{c: " + std::to_string(c) + "}");
    const LearnerResult result = probe.fit(train, no_val, {"ants", "bees"});
    EXPECT_THAT(probe.warnings(), ::testing::IsEmpty());
    const double objective = result.summary.find("path")->as_list().at(0).find("objective")->as_double();
    EXPECT_NEAR(objective / step.at("objective").get<double>(), 1, 1e-4) << c;

    Sequential sequential;
    const Scores scores = result.predictor->predict({&test}, sequential);
    double right = 0, log_loss = 0;
    for (std::size_t r = 0; r < test.rows(); ++r) {
      const float* row = scores.row(r);
      right += (row[1] > row[0]) == (test.label(r) == 1) ? 1 : 0;
      log_loss -= std::log(static_cast<double>(row[test.label(r)]));
    }
    const auto n = static_cast<double>(test.rows());
    EXPECT_NEAR(right / n, step.at("accuracy").get<double>(), 1.01 / n) << c;
    EXPECT_NEAR(log_loss / n, step.at("test_log_loss").get<double>(), 2e-3) << c;
  }
}

}  // namespace
}  // namespace graft
