#include <metrics/score.h>

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace graft::metrics {
namespace {

Score score_of(std::vector<float> scores, std::vector<std::int32_t> labels, LabelMode mode) {
  ScoreSum sum;
  sum.add(scores, labels, mode);
  return sum.mean();
}

TEST(Score, OfOneLabelIsThatOfTheTrueClass) {
  const Score right = score_of({0.25F, 0.5F, 0.25F}, {1}, LabelMode::Single);
  EXPECT_EQ(right.accuracy, 1);
  EXPECT_NEAR(right.log_loss, std::log(2), 1e-12);
  EXPECT_EQ(score_of({0.5F, 0.5F}, {1}, LabelMode::Single).accuracy, 0);  // ties go to the lower class
  EXPECT_NEAR(score_of({1, 0}, {1}, LabelMode::Single).log_loss, 52 * std::log(2), 1e-9);
}

TEST(Score, OfSeveralLabelsIsThatOfTheWholeSetAndOfEveryDecision) {
  const Score right = score_of({0.5F, 0.25F, 0.75F}, {0, 2}, LabelMode::Multi);  // one half counts as yes
  EXPECT_EQ(right.accuracy, 1);
  EXPECT_NEAR(right.log_loss, -(std::log(0.5) + 2 * std::log(0.75)) / 3, 1e-12);
  EXPECT_EQ(score_of({0.5F, 0.25F, 0.75F}, {0}, LabelMode::Multi).accuracy, 0);
  EXPECT_EQ(score_of({0.1F, 0.1F}, {}, LabelMode::Multi).accuracy, 1);
}

TEST(ScoreSum, IsTheMeanOfItsRows) {
  ScoreSum first, second;
  first.add(std::vector<float>{0.75F, 0.25F}, std::vector<std::int32_t>{0}, LabelMode::Single);
  second.add(std::vector<float>{0.75F, 0.25F}, std::vector<std::int32_t>{1}, LabelMode::Single);
  second += first;
  EXPECT_EQ(second.rows(), 2U);
  EXPECT_EQ(second.mean().accuracy, 0.5);
  EXPECT_NEAR(second.mean().log_loss, -(std::log(0.75) + std::log(0.25)) / 2, 1e-12);
}

TEST(Better, GoesByAccuracyThenByLogLoss) {
  const Criterion by = criterion_for(LabelMode::Single);
  EXPECT_TRUE(better({0.8, 2}, {0.7, 1}, by));
  EXPECT_FALSE(better({0.7, 1}, {0.8, 2}, by));
  EXPECT_TRUE(better({0.8, 1}, {0.8, 2}, by));
  EXPECT_FALSE(better({0.8, 1}, {0.8, 1}, by));  // of equal ones the first stays
}

TEST(Better, GoesByLogLossAloneForSeveralLabels) {
  const Criterion by = criterion_for(LabelMode::Multi);
  EXPECT_FALSE(better({0.8, 2}, {0.7, 1}, by));
  EXPECT_TRUE(better({0.7, 1}, {0.8, 2}, by));
  EXPECT_FALSE(better({0.9, 1}, {0.8, 1}, by));
}

TEST(Better, ByMoreThanAMargin) {
  EXPECT_FALSE(better({0.8, 1}, {0.75, 1}, Criterion::Accuracy, 0.1));
  EXPECT_TRUE(better({0.8, 0.5}, {0.8, 1}, Criterion::Accuracy, 0.1));
  EXPECT_FALSE(better({0.8, 0.95}, {0.7, 1}, Criterion::LogLoss, 0.1));
}

}  // namespace
}  // namespace graft::metrics
