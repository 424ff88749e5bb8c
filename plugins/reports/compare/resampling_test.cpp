#include "resampling.h"

#include <gmock/gmock.h>

#include <graft/testing/stage_harness.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <graft/error.h>

#include <metrics/bootstrap.h>

namespace graft {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<std::int32_t> kLabels = {2, 0, 0, 1, 1, 2, 0, 1, 2, 0, 1, 0, 0, 2, 1, 0, 1};

struct Warnings {
  std::vector<std::string> texts;
  std::function<void(const std::string&)> warn() {
    return [this](const std::string& text) { texts.push_back(text); };
  }
};

TEST(StratifiedFolds, AreScikitLearnsWithoutShuffling) {
  // sklearn.model_selection.StratifiedKFold(n).split(...), scikit-learn 1.2
  Warnings w;
  EXPECT_THAT(stratified_folds(kLabels, 2, nullptr, w.warn()),
              ::testing::ElementsAreArray(
                  std::vector<std::size_t>{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_THAT(stratified_folds(kLabels, 3, nullptr, w.warn()),
              ::testing::ElementsAreArray(
                  std::vector<std::size_t>{0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2}));
  EXPECT_THAT(w.texts, IsEmpty());
  EXPECT_THAT(stratified_folds(kLabels, 5, nullptr, w.warn()),
              ::testing::ElementsAreArray(
                  std::vector<std::size_t>{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 4, 3, 3, 4, 4}));
  EXPECT_THAT(w.texts, ElementsAre("the smallest class has 4 inputs, fewer than the 5 folds: some folds have "
                                   "none of it"));
}

TEST(StratifiedFolds, ShufflingMovesRowsNotShares) {
  Warnings w;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    std::vector<std::int32_t> labels;
    const std::size_t n = 20 + random.below(100);
    for (std::size_t i = 0; i < n; ++i) labels.push_back(static_cast<std::int32_t>(random.below(3)));
    const std::size_t folds = 2 + random.below(4);
    const auto still = stratified_folds(labels, folds, nullptr, w.warn());
    const auto shuffled = stratified_folds(labels, folds, &random, w.warn());
    EXPECT_NE(still, shuffled);
    std::map<std::pair<std::int32_t, std::size_t>, int> a, b;
    for (std::size_t i = 0; i < n; ++i) {
      ++a[{labels[i], still[i]}];
      ++b[{labels[i], shuffled[i]}];
    }
    EXPECT_EQ(a, b);
  }
}

TEST(StratifiedFolds, TooManyOfThemAreRefused) {
  Warnings w;
  try {
    stratified_folds({0, 0, 1, 0}, 4, nullptr, w.warn());
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(
        e.what(),
        "cv: 4 folds need a class of as many inputs, the largest has 3; ask for fewer folds, or give "
        "the source more inputs");
  }
  EXPECT_THROW(stratified_folds({}, 2, nullptr, w.warn()), Error);
}

std::vector<Trials::Input> some_inputs(std::size_t n) {
  std::vector<Trials::Input> inputs;
  for (std::size_t i = 0; i < n; ++i)
    inputs.push_back({"image" + std::to_string(i), {static_cast<std::int32_t>(i % 3)}, Split::Train});
  return inputs;
}

std::vector<std::size_t> all_of(const std::vector<Trials::Input>& inputs) {
  std::vector<std::size_t> out(inputs.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = i;
  return out;
}

TEST(Drawing, FewAreAmongMoreAndStayWhenInputsAreAdded) {
  const auto inputs = some_inputs(90), more = some_inputs(300);
  const Drawing drawing(inputs, 7), other(inputs, 8), larger(more, 7);
  std::vector<std::size_t> before;
  for (const std::size_t shots : {1, 2, 5, 10, 30, 40}) {
    const auto drawn = drawing.take(all_of(inputs), shots);
    EXPECT_EQ(drawn.size(), 3 * std::min<std::size_t>(shots, 30));
    EXPECT_TRUE(std::includes(drawn.begin(), drawn.end(), before.begin(), before.end()));
    std::map<std::int32_t, std::size_t> count;
    for (const std::size_t i : drawn) ++count[inputs[i].labels[0]];
    for (const auto& [label, n] : count) EXPECT_EQ(n, std::min<std::size_t>(shots, 30));
    before = drawn;
  }
  EXPECT_NE(drawing.take(all_of(inputs), 5), other.take(all_of(inputs), 5));
  // Of the inputs that were there before, those that are drawn from more were drawn already.
  const auto was = drawing.take(all_of(inputs), 10);
  for (const std::size_t i : larger.take(all_of(more), 10))
    EXPECT_TRUE(i >= 90 || std::binary_search(was.begin(), was.end(), i));
}

TEST(Drawing, DividesEveryClassAlike) {
  const auto inputs = some_inputs(300);
  const Drawing drawing(inputs, 1);
  for (const std::size_t shots : {1, 2, 3, 4, 10, 64}) {
    const auto taken = drawing.take(all_of(inputs), shots);
    const Trials::Rows rows = drawing.divide(taken, 0.2);
    const std::size_t val = shots < 2 ? 0 : std::max<std::size_t>(1, (shots + 2) / 5);
    EXPECT_EQ(rows.val.size(), 3 * val) << shots;
    EXPECT_EQ(rows.train.size(), 3 * (shots - val)) << shots;
    std::vector<std::size_t> both;
    std::merge(rows.train.begin(), rows.train.end(), rows.val.begin(), rows.val.end(),
               std::back_inserter(both));
    EXPECT_EQ(both, taken);
  }
  EXPECT_TRUE(drawing.divide(drawing.take(all_of(inputs), 10), 0).val.empty());
}

TEST(Drawing, InputsThatShowNoneOfTheClassesAreAClassOfTheirOwn) {
  auto inputs = some_inputs(90);  // 30 of each class
  for (std::size_t i = 0; i < 60; i += 3) inputs[i].labels.clear();
  for (std::size_t i = 0; i < 36; i += 3) inputs[i].negative = true;  // the other 8 are unlabelled
  const Drawing drawing(inputs, 7);
  const auto drawn = drawing.take(all_of(inputs), 10);
  std::map<std::int32_t, std::size_t> count;
  for (const std::size_t i : drawn) {
    EXPECT_TRUE(inputs[i].labelled());
    ++count[stratum_of(inputs[i])];
  }
  EXPECT_EQ(count, (std::map<std::int32_t, std::size_t>{{-1, 10}, {0, 10}, {1, 10}, {2, 10}}));
  const Trials::Rows rows = drawing.divide(all_of(inputs), 0.25);
  EXPECT_EQ(rows.val.size(), 3u + 3 + 8 + 8);  // of 12, 10, 30 and 30
  EXPECT_EQ(rows.train.size(), 82u - 22);
}

TEST(PairedDifference, HasTheIntervalOfManyItems) {
  Random random(3);
  std::vector<double> a, b;
  for (int i = 0; i < 2000; ++i) {
    a.push_back(random.chance(0.8) ? 1 : 0);
    b.push_back(random.chance(0.7) ? 1 : 0);
  }
  Sequential one;
  testing::Threads four(4);
  const metrics::Interval i = metrics::paired_difference(a, b, 0.95, 2000, 42, one);
  double mean = 0, square = 0;
  for (std::size_t k = 0; k < a.size(); ++k) {
    mean += (a[k] - b[k]) / 2000;
    square += (a[k] - b[k]) * (a[k] - b[k]) / 2000;
  }
  EXPECT_NEAR(i.mean, mean, 1e-12);
  // For so many items the distribution of the mean is normal.
  const double half = 1.96 * std::sqrt((square - mean * mean) / 2000);
  EXPECT_NEAR(i.low, mean - half, 0.1 * half);
  EXPECT_NEAR(i.high, mean + half, 0.1 * half);
  const metrics::Interval again = metrics::paired_difference(a, b, 0.95, 2000, 42, four);
  EXPECT_EQ(again.low, i.low);
  EXPECT_EQ(again.high, i.high);
  const metrics::Interval same = metrics::paired_difference(a, a, 0.95, 2000, 42, one);
  EXPECT_EQ(same.low, 0);
  EXPECT_EQ(same.high, 0);
}

TEST(PairedDifference, IsOfTheItemsThatBothHave) {
  Sequential one;
  const std::vector<std::string> a{"x", "y", "z"}, b{"z", "w", "y"};
  const std::vector<double> right_a{1, 1, 0}, right_b{1, 1, 0};
  const auto paired = metrics::paired_difference({a, right_a}, {b, right_b}, 0.95, 100, 42, one);
  ASSERT_TRUE(paired);
  EXPECT_EQ(paired->n, 2U);
  EXPECT_EQ(paired->accuracy.mean, 0);  // y: 1 - 0, z: 0 - 1
  EXPECT_LT(paired->accuracy.low, 0);
  const std::vector<std::string> other{"p"};
  const std::vector<double> right{1};
  EXPECT_FALSE(metrics::paired_difference({a, right_a}, {other, right}, 0.95, 100, 42, one));
}

// Drawing ten million items two thousand times would take minutes.
TEST(PairedDifference, OfVeryManyItemsHasTheIntervalOfTheNormalDistribution) {
  Random random(3);
  std::vector<double> a, b;
  for (std::size_t i = 0; i <= metrics::kMostDrawn; ++i) {
    a.push_back(random.chance(0.8) ? 1 : 0);
    b.push_back(random.chance(0.7) ? 1 : 0);
  }
  Sequential one;
  const metrics::Interval many = metrics::paired_difference(a, b, 0.95, 1000, 42, one);
  a.pop_back();
  b.pop_back();
  const metrics::Interval drawn = metrics::paired_difference(a, b, 0.95, 1000, 42, one);
  const double half = (many.high - many.low) / 2;
  EXPECT_NEAR(many.mean, drawn.mean, 1e-4);
  EXPECT_NEAR(many.low, drawn.low, 0.15 * half);
  EXPECT_NEAR(many.high, drawn.high, 0.15 * half);
}

}  // namespace
}  // namespace graft
