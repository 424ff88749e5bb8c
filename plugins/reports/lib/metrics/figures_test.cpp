#include <metrics/figures.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include <graft/random.h>

namespace graft::metrics {
namespace {

const Figure& figure(const std::vector<Figure>& figures, const std::string& name) {
  return *std::find_if(figures.begin(), figures.end(), [&](const Figure& f) { return f.name == name; });
}

/// A fraction of `right` of the rows is classified right, with a score of 0.8.
ScoredRows rows_of(std::size_t n, std::size_t classes, double right, std::uint64_t seed) {
  Random random(seed);
  Scores scores(n, classes);
  std::vector<std::vector<std::int32_t>> labels(n);
  for (std::size_t r = 0; r < n; ++r) {
    const auto truth = static_cast<std::size_t>(random.below(classes));
    labels[r].push_back(static_cast<std::int32_t>(truth));
    const std::size_t guess = random.chance(right) ? truth : (truth + 1) % classes;
    for (std::size_t c = 0; c < classes; ++c)
      scores.row(r)[c] = c == guess ? 0.8F : 0.2F / static_cast<float>(classes - 1);
  }
  return {scores, labels, LabelMode::Single};
}

// scipy.stats.binomtest(142, 153).proportion_ci(method="wilson"), and of 0 and 10 successes in 10.
TEST(WilsonInterval, EqualsScipy) {
  const auto [low, high] = wilson_interval(142.0 / 153, 153);
  EXPECT_NEAR(low, 0.8758549507801967, 1e-12);
  EXPECT_NEAR(high, 0.9593833910778904, 1e-12);
  EXPECT_NEAR(wilson_interval(0, 10).first, 0, 1e-15);
  EXPECT_NEAR(wilson_interval(0, 10).second, 0.27753279986288926, 1e-12);
  EXPECT_NEAR(wilson_interval(1, 10).first, 0.7224672001371109, 1e-12);
  EXPECT_DOUBLE_EQ(wilson_interval(1, 10).second, 1);
}

TEST(Figures, HaveIntervalsAroundTheirValues) {
  Sequential one;
  ScoredRows rows = rows_of(300, 3, 0.8, 1);
  const auto figures = figures_of("probe", Split::Test, rows, {500, 7}, one);
  for (const Figure& f : figures) {
    EXPECT_EQ(f.learner, "probe");
    EXPECT_EQ(f.n, 300U);
    if (!f.value) continue;
    ASSERT_TRUE(f.interval) << f.name;
    EXPECT_LT(f.interval->first, f.interval->second) << f.name;
    // That of the calibration error lies above it: a resample is never better calibrated on average.
    if (f.name == "ece") continue;
    EXPECT_LE(f.interval->first, *f.value) << f.name;
    EXPECT_GE(f.interval->second, *f.value) << f.name;
  }
  EXPECT_EQ(figure(figures, "top_5_accuracy").undefined, "it takes more than 5 classes, there are 3");
}

// The recall of a binary problem over many drawings of the data: nominal 95 %.
TEST(Figures, IntervalsCoverTheTrueValueAsOftenAsTheyClaim) {
  Sequential one;
  std::size_t covered = 0;
  constexpr std::size_t kTrials = 200;
  for (std::size_t t = 0; t < kTrials; ++t) {
    ScoredRows rows = rows_of(200, 2, 0.8, 100 + t);
    const auto figures = figures_of("probe", Split::Test, rows, {200, t}, one);
    const auto& interval = *figure(figures, "balanced_accuracy").interval;
    covered += interval.first <= 0.8 && 0.8 <= interval.second ? 1 : 0;
  }
  EXPECT_GE(covered, kTrials * 90 / 100);
  EXPECT_LE(covered, kTrials * 99 / 100);
}

/// Runs bodies from the last to the first.
class Backwards final : public Parallel {
 public:
  void for_each(std::size_t n, const std::function<void(std::size_t)>& body) override {
    for (std::size_t i = n; i-- > 0;) body(i);
  }
  int threads() const override { return 1; }
};

TEST(Figures, DoNotDependOnTheOrderOfTheWork) {
  Sequential forwards;
  Backwards backwards;
  ScoredRows rows = rows_of(100, 4, 0.7, 3);
  const auto a = figures_of("l", Split::Val, rows, {300, 5}, forwards);
  const auto b = figures_of("l", Split::Val, rows, {300, 5}, backwards);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].interval, b[i].interval) << a[i].name;
}

TEST(Figures, WithoutResamplesHaveTheIntervalOfAccuracyAndWhatEqualsItAlone) {
  Sequential one;
  ScoredRows rows = rows_of(50, 2, 0.9, 3);
  for (const Figure& f : figures_of("l", Split::Val, rows, {0, 5}, one))
    EXPECT_EQ(f.interval.has_value(), f.name == "accuracy" || f.name.starts_with("micro_")) << f.name;
}

TEST(Figures, OfRowsThatMostResamplesLackHaveNoInterval) {
  // One row of the second class: more than a third of the resamples have none, and no area under a curve.
  Scores scores(20, 2);
  std::vector<std::vector<std::int32_t>> labels;
  for (std::size_t r = 0; r < 20; ++r) {
    scores.row(r)[0] = 0.6F;
    scores.row(r)[1] = 0.4F;
    labels.push_back({r == 0 ? 1 : 0});
  }
  Sequential one;
  ScoredRows rows(scores, labels, LabelMode::Single);
  const auto figures = figures_of("l", Split::Val, rows, {200, 5}, one);
  EXPECT_TRUE(figure(figures, "roc_auc").value);
  EXPECT_FALSE(figure(figures, "roc_auc").interval);
  EXPECT_TRUE(figure(figures, "log_loss").interval);
  EXPECT_EQ(figure(figures, "matthews_corrcoef").undefined, "all predictions are one class");
}

}  // namespace
}  // namespace graft::metrics
