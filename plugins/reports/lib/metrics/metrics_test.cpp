#include <metrics/metrics.h>

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include <graft/random.h>

namespace graft::metrics {
namespace {

using ::testing::ElementsAre;

Scores scores_of(std::size_t classes, std::vector<float> values) {
  Scores s;
  s.rows = values.size() / classes;
  s.classes = classes;
  s.values = std::move(values);
  return s;
}

/// What the tests below look at, of rows with one label each.
struct Metrics {
  std::size_t n;
  double accuracy, balanced_accuracy, macro_f1, log_loss, ece, brier;
  std::vector<ClassCounts> per_class;
  std::vector<ConfusionCell> confusion;
};
Metrics measure(const Scores& scores, const std::vector<std::int32_t>& labels) {
  std::vector<std::vector<std::int32_t>> each;
  for (const std::int32_t label : labels) each.push_back({label});
  const ScoredRows rows(scores, each, LabelMode::Single);
  const Sample sample(rows);
  const auto of = [&](const char* name) { return value_of(name, sample); };
  return {sample.n(), of("accuracy"), of("balanced_accuracy"), of("macro_f1"),          of("log_loss"),
          of("ece"),  of("brier"),    sample.per_class(),      metrics::confusion(rows)};
}

/// 40 rows of 4 classes of which the last has none, two of them wrong with certainty.
std::pair<Scores, std::vector<std::int32_t>> fixture() {
  Random random(5);
  std::vector<std::int32_t> labels(40);
  for (std::int32_t& y : labels) y = static_cast<std::int32_t>(random.uniform() * 3);
  Scores s(40, 4);
  std::vector<double> row(4);
  std::vector<std::vector<double>> raw;
  for (std::size_t r = 0; r < 40; ++r) {
    for (double& v : row) v = random.uniform();
    row[static_cast<std::size_t>(labels[r])] += 0.4;
    const double sum = std::accumulate(row.begin(), row.end(), 0.0);
    for (std::size_t c = 0; c < 4; ++c) s.row(r)[c] = static_cast<float>(row[c] / sum);
  }
  std::copy_n(std::vector<float>{0, 1, 0, 0}.data(), 4, s.row(3));
  std::copy_n(std::vector<float>{1, 0, 0, 0}.data(), 4, s.row(7));
  return {s, labels};
}

// Reference values from scikit-learn 1.2.1, with `uniforms` as in linear_probe_test.cpp:
//
//   u = uniforms(5); y = np.array([int(next(u) * 3) for _ in range(40)])
//   s = np.array([[next(u) for _ in range(4)] for _ in range(40)]); s[np.arange(40), y] += 0.4
//   s = (s / s.sum(1, keepdims=True)).astype(np.float32); s[3] = [0, 1, 0, 0]; s[7] = [1, 0, 0, 0]
//   s = s.astype(float); p = s.argmax(1)
//   accuracy_score(y, p), balanced_accuracy_score(y, p), f1_score(y, p, average="macro")
//   log_loss(y, s, labels=range(4)), confusion_matrix(y, p, labels=range(4))
//   precision_recall_fscore_support(y, p, labels=range(4), zero_division=0)
//   conf = s.max(1); b = np.clip(np.ceil(conf * 15) - 1, 0, 14)
//   sum(abs((p == y)[b == i].mean() - conf[b == i].mean()) * (b == i).mean() for i in range(15) if (b ==
//   i).any())
//   ((s - np.eye(4)[y]) ** 2).sum(1).mean()
TEST(Metrics, EqualScikitLearn) {
  const auto [scores, labels] = fixture();
  const Metrics m = measure(scores, labels);
  EXPECT_EQ(m.n, 40U);
  EXPECT_DOUBLE_EQ(m.accuracy, 0.525);
  EXPECT_NEAR(m.balanced_accuracy, 0.5238095238095238, 1e-15);
  EXPECT_NEAR(m.macro_f1, 0.42170329670329676, 1e-15);
  EXPECT_NEAR(m.log_loss, 2.778542256567221, 1e-12);
  EXPECT_NEAR(m.ece, 0.25489414706826213, 1e-12);
  EXPECT_NEAR(m.brier, 0.6487359081641239, 1e-12);
  EXPECT_THAT(dense(m.confusion, m.per_class.size()),
              ElementsAre(8, 1, 2, 2, 4, 5, 2, 2, 3, 1, 8, 2, 0, 0, 0, 0));
  const std::vector<double> precision = {0.53333333, 0.71428571, 0.66666667, 0};
  const std::vector<double> recall = {0.61538462, 0.38461538, 0.57142857, 0};
  const std::vector<double> f1 = {0.57142857, 0.5, 0.61538462, 0};
  const std::vector<std::size_t> support = {13, 13, 14, 0}, predicted = {15, 7, 12, 6};
  for (std::size_t c = 0; c < 4; ++c) {
    EXPECT_NEAR(m.per_class[c].precision(), precision[c], 1e-8);
    EXPECT_NEAR(m.per_class[c].recall(), recall[c], 1e-8);
    EXPECT_NEAR(m.per_class[c].f1(), f1[c], 1e-8);
    EXPECT_EQ(m.per_class[c].support, support[c]);
    EXPECT_EQ(m.per_class[c].predicted, predicted[c]);
  }
}

TEST(Metrics, TheConfusionHasTheCellsThatHaveRows) {
  const Metrics m = measure(scores_of(3, {0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1}), {2, 1, 0, 2});
  EXPECT_THAT(m.confusion,
              ElementsAre(ConfusionCell{0, 2, 1}, ConfusionCell{1, 0, 1}, ConfusionCell{2, 2, 2}));
  EXPECT_THAT(dense(m.confusion, m.per_class.size()), ElementsAre(0, 0, 1, 1, 0, 0, 0, 0, 2));
}

// Whole, the matrix would take 80 GB.
TEST(Metrics, ManyClassesCostMemoryByTheRow) {
  constexpr std::size_t kClasses = 100'000;
  Scores s(2, kClasses);
  s.row(0)[kClasses - 1] = s.row(1)[7] = 1;
  const Metrics m = measure(s, {kClasses - 1, 8});
  EXPECT_THAT(m.confusion, ElementsAre(ConfusionCell{8, 7, 1}, ConfusionCell{kClasses - 1, kClasses - 1, 1}));
  EXPECT_DOUBLE_EQ(m.accuracy, 0.5);
  EXPECT_DOUBLE_EQ(m.balanced_accuracy, 0.5);
  EXPECT_DOUBLE_EQ(m.macro_f1, 1.0 / 3);
}

TEST(Metrics, MacroF1CountsOnlyClassesThatOccur) {
  // Class 2 neither occurs nor is predicted: f1_score([0, 1, 1], [0, 1, 0], average="macro") = 2/3.
  const Metrics m = measure(scores_of(3, {1, 0, 0, 0, 1, 0, 1, 0, 0}), {0, 1, 1});
  EXPECT_NEAR(m.macro_f1, 2.0 / 3, 1e-15);
  EXPECT_NEAR(m.balanced_accuracy, 0.75, 1e-15);
}

TEST(Metrics, OfEqualScoresTheLowestClassIsPredicted) {
  EXPECT_DOUBLE_EQ(measure(scores_of(2, {0.5, 0.5, 0.5, 0.5}), {0, 1}).accuracy, 0.5);
  EXPECT_DOUBLE_EQ(measure(scores_of(3, {0.2F, 0.4F, 0.4F}), {1}).accuracy, 1);
}

TEST(Metrics, APerfectPredictionHasNoLoss) {
  const Metrics m = measure(scores_of(2, {1, 0, 0, 1}), {0, 1});
  EXPECT_DOUBLE_EQ(m.accuracy, 1);
  EXPECT_NEAR(m.log_loss, 0, 1e-15);
  EXPECT_DOUBLE_EQ(m.ece, 0);
  EXPECT_DOUBLE_EQ(m.brier, 0);
}

TEST(Metrics, BinsOfTheCalibrationErrorIncludeTheirUpperEnd) {
  // 0.6 = 9/15 closes bin 9, together with 0.59; 0.61 opens the next. Confidences as float32.
  const Scores s = scores_of(2, {0.6F, 0.4F, 0.59F, 0.41F, 0.61F, 0.39F});
  const double low = (static_cast<double>(0.6F) + static_cast<double>(0.59F));
  const double want = 0.6F <= 9.0 / 15 ? (std::abs(1 - low) + static_cast<double>(0.61F)) / 3
                                       : (std::abs(1 - 0.6F - 0.61F) + 0.59F) / 3;
  EXPECT_NEAR(measure(s, {0, 1, 1}).ece, want, 1e-7);
}

TEST(Metrics, DoNotDependOnTheOrderOfRows) {
  const auto [scores, labels] = fixture();
  Scores reversed(40, 4);
  std::vector<std::int32_t> reversed_labels(labels.rbegin(), labels.rend());
  for (std::size_t r = 0; r < 40; ++r) std::copy_n(scores.row(39 - r), 4, reversed.row(r));
  const Metrics a = measure(scores, labels), b = measure(reversed, reversed_labels);
  EXPECT_EQ(a.confusion, b.confusion);
  EXPECT_NEAR(a.log_loss, b.log_loss, 1e-13);
  EXPECT_NEAR(a.ece, b.ece, 1e-13);
  EXPECT_NEAR(a.brier, b.brier, 1e-13);
}

}  // namespace
}  // namespace graft::metrics
