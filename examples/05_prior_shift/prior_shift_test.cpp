#include <gtest/gtest.h>

#include <graft/testing/contract.h>
#include <graft/testing/error_of.h>

using graft::testing::StageHarness;

namespace {

/// Three val inputs of "ants" and one of "bees".
graft::Predictions predictions() {
  graft::Predictions out{.learner = "probe", .classes = {"ants", "bees"}};
  out.val.keys = {"a", "b", "c", "d"};
  out.val.labels = {{0}, {0}, {0}, {1}};
  out.val.scores = graft::Scores(4, 2);
  return out;
}

TEST(PriorShift, ObeysTheContract) {
  EXPECT_EQ(graft::testing::check_contract("prior_shift"), "");
}

TEST(PriorShift, MultipliesByTheRatioOfFrequencies) {
  StageHarness stage("prior_shift", "{frequencies: {ants: 1, bees: 3}}");
  const auto result = stage.calibrate(predictions());
  graft::Scores scores(1, 2);
  scores.values = {0.9F, 0.1F};
  result.calibration->apply(scores);  // ratios 1/3 and 3
  EXPECT_FLOAT_EQ(scores.values[0], 0.5F);
  EXPECT_FLOAT_EQ(scores.values[1], 0.5F);
}

TEST(PriorShift, NamesAClassThatIsNotThere) {
  EXPECT_EQ(graft::testing::error_of([] {
              StageHarness("prior_shift", "{frequencies: {ants: 1, wasps: 3}}").calibrate(predictions());
            }),
            "frequencies: class 'bees' is missing");
}

}  // namespace
