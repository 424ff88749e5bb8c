#include <gmock/gmock.h>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <cmath>

using graft::Bundle;
using graft::LearnerResult;
using graft::MemoryRows;
using graft::Scores;
using graft::Sequential;
using graft::testing::StageHarness;
using ::testing::ElementsAre;

namespace {

const std::vector<std::string> kTwo = {"low", "high"};

/// One feature: the mean is 2, the sum of squares around it 14, and with the targets +1 and -1 the sum of
/// products 6 for "high". So w = 6 / (14 + alpha), and the bias is -2 w.
MemoryRows train() {
  return MemoryRows({0, 1, 2, 5}, 1, {0, 0, 1, 1});
}

/// softmax(-z, z) of "high".
double high(double z) {
  return 1 / (1 + std::exp(-2 * z));
}

TEST(Ridge, HasTheWeightsOfTheClosedForm) {
  StageHarness ridge("ridge", "{alpha: 3}");
  const LearnerResult result = ridge.fit(train(), MemoryRows({}, 1, {}), kTwo);
  const double w = 6.0 / 17;
  const MemoryRows rows({2, 5, 0}, 1, {0, 0, 0});
  Sequential sequential;
  const Scores scores = result.predictor->predict({&rows}, sequential);
  EXPECT_NEAR(scores.row(0)[1], 0.5, 1e-6);
  EXPECT_NEAR(scores.row(1)[1], high(3 * w), 1e-6);
  EXPECT_NEAR(scores.row(2)[1], high(-2 * w), 1e-6);
  EXPECT_NEAR(scores.row(2)[0], 1 - high(-2 * w), 1e-6);
}

TEST(Ridge, ChoosesAlphaOnValAndRefits) {
  StageHarness ridge("ridge", "{alpha: [100, 1]}");
  const MemoryRows val({0, 5}, 1, {0, 1});
  const LearnerResult result = ridge.fit(train(), val, kTwo);
  EXPECT_EQ(result.summary.find("alpha")->as_double(), 1);  // both are right, and this one is surer
  EXPECT_EQ(result.summary.find("chosen_on")->as_string(), "val");
  EXPECT_EQ(result.summary.find("path")->as_list().size(), 2U);
  EXPECT_EQ(result.summary.find("refit")->find("rows")->as_int(), 6);
  EXPECT_NEAR(result.val.row(1)[1], high(3 * 6.0 / 15), 1e-6);
  // With val: mean 13 / 6, sum of squares 55 - 169 / 6, sum of products 11.
  const double w = 11 / (55 - 169.0 / 6 + 1);
  const MemoryRows row({5}, 1, {0});
  Sequential sequential;
  EXPECT_NEAR(result.predictor->predict({&row}, sequential).row(0)[1], high(w * (5 - 13.0 / 6)), 1e-6);
}

TEST(Ridge, GivesAnAbsentClassTheScoreZeroAndSaysSo) {
  StageHarness ridge("ridge", "{alpha: 1}");
  const LearnerResult result = ridge.fit(train(), train(), {"low", "high", "none"});
  EXPECT_THAT(ridge.warnings(), ElementsAre("no train rows of none: the score of such a class is 0"));
  EXPECT_EQ(result.val.row(0)[2], 0);
}

TEST(Ridge, TakesTheAlphaNearestToOneWithoutVal) {
  StageHarness ridge("ridge", "{alpha: [0.01, 3]}");
  ridge.fit(train(), MemoryRows({}, 1, {}), kTwo);
  EXPECT_THAT(
      ridge.warnings(),
      ElementsAre("table 'table' has no labelled val rows to choose alpha on: taking alpha = 3 (nearest "
                  "to 1); give the source a val split, or set alpha to one value"));
}

TEST(Ridge, ComesBackFromItsBundle) {
  StageHarness ridge("ridge", "{alpha: 1}");
  const LearnerResult result = ridge.fit(train(), train(), kTwo);
  Bundle bundle;
  result.predictor->save(bundle);
  const MemoryRows rows = train();
  Sequential sequential;
  EXPECT_EQ(ridge.as<graft::Learner>().load(bundle)->predict({&rows}, sequential).values,
            result.predictor->predict({&rows}, sequential).values);
}

TEST(Ridge, RefusesOneClass) {
  EXPECT_EQ(
      graft::testing::error_of([] {
        StageHarness("ridge").fit(MemoryRows({1, 2}, 1, {0, 0}), MemoryRows({}, 1, {}), kTwo);
      }),
      "table 'table' has train rows of 1 of its 2 classes: expected at least 2 classes to tell apart; check "
      "the labels, the splits and the rejected inputs");
}

}  // namespace
