#include <gtest/gtest.h>

#include <metrics/multi_label.h>

namespace graft::metrics {
namespace {

TEST(MultiLabelMetrics, AreThoseOfScikitLearn) {
  // accuracy_score, hamming_loss, f1_score (micro, macro), average_precision_score, mean of log_loss by
  // class, with scikit-learn 1.2; the third class has three equal scores.
  Scores scores(5, 3);
  scores.values = {0.9F, 0.2F, 0.6F, 0.4F, 0.7F, 0.6F, 0.8F, 0.5F, 0.1F, 0.3F, 0.1F, 0.2F, 0.55F, 0.6F, 0.6F};
  const MultiLabelMetrics m = measure_multi_label(scores, {{0, 2}, {1}, {0, 1}, {0}, {1, 2}});
  EXPECT_EQ(m.n, 5u);
  EXPECT_DOUBLE_EQ(m.accuracy, 0.4);
  EXPECT_DOUBLE_EQ(m.hamming_loss, 0.2);
  EXPECT_NEAR(m.micro_f1, 0.823529411764706, 1e-12);
  EXPECT_NEAR(m.macro_f1, 0.8222222222222223, 1e-12);
  EXPECT_NEAR(m.per_class[0].average_precision, 0.86666667, 1e-8);
  EXPECT_NEAR(m.per_class[1].average_precision, 1.0, 1e-12);
  EXPECT_NEAR(m.per_class[2].average_precision, 0.66666667, 1e-8);
  EXPECT_NEAR(m.mean_average_precision, 0.8444444444444444, 1e-12);
  EXPECT_NEAR(m.log_loss, 0.46649387019310745, 1e-7);
  EXPECT_NEAR(m.brier, 0.4565, 1e-7);
}

TEST(MultiLabelMetrics, RowsThatShowNoneOfTheClassesAreNegativesOfAll) {
  // As above; rows 2 and 4 are zeros in y_true. With them left out, accuracy were 0.25, the Hamming loss
  // 0.25, the mean average precision 0.8056.
  Scores scores(6, 3);
  scores.values = {0.9F, 0.2F, 0.6F, 0.4F, 0.7F, 0.6F, 0.8F,  0.5F, 0.1F,
                   0.3F, 0.1F, 0.2F, 0.2F, 0.1F, 0.4F, 0.55F, 0.6F, 0.6F};
  const MultiLabelMetrics m = measure_multi_label(scores, {{0, 2}, {1}, {}, {0}, {}, {1, 2}});
  EXPECT_EQ(m.n, 6u);
  EXPECT_DOUBLE_EQ(m.accuracy, 2.0 / 6);
  EXPECT_DOUBLE_EQ(m.hamming_loss, 5.0 / 18);
  EXPECT_DOUBLE_EQ(m.micro_f1, 2.0 / 3);
  EXPECT_DOUBLE_EQ(m.macro_f1, (0.4 + 0.8 + 0.8) / 3);
  EXPECT_NEAR(m.per_class[0].average_precision, 0.7, 1e-12);
  EXPECT_NEAR(m.per_class[1].average_precision, 1.0, 1e-12);
  EXPECT_NEAR(m.per_class[2].average_precision, 2.0 / 3, 1e-12);
  EXPECT_NEAR(m.mean_average_precision, 0.7888888888888889, 1e-12);
  EXPECT_NEAR(m.log_loss, 0.5123906761689473, 1e-7);
  EXPECT_NEAR(m.brier, 0.5154166688025004, 1e-7);
}

TEST(MultiLabelMetrics, AClassWithoutRowsHasNoShareInTheMeans) {
  Scores scores(2, 3);
  scores.values = {0.9F, 0.1F, 0.0F, 0.2F, 1.0F, 0.0F};
  const MultiLabelMetrics m = measure_multi_label(scores, {{0}, {1}});
  EXPECT_EQ(m.per_class[2].support, 0u);
  EXPECT_EQ(m.per_class[2].average_precision, 0);
  EXPECT_EQ(m.mean_average_precision, 1);
  EXPECT_EQ(m.macro_f1, 1);
  EXPECT_EQ(m.accuracy, 1);
}

}  // namespace
}  // namespace graft::metrics
