#include <gmock/gmock.h>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <graft/random.h>

#include <learning/testing/random_rows.h>

namespace graft {
namespace {

using graft::testing::error_of;
using graft::testing::StageHarness;
using graft::testing::Threads;
using learning::Data;
using learning::kThree;
using learning::kTwo;
using learning::random_data;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StrEq;

/// Every class in two places: by its mean alone it cannot be told.
Data two_places(std::size_t n, std::uint64_t seed) {
  Random random(seed);
  Data data{2, {}, {}};
  for (std::size_t i = 0; i < n; ++i) {
    const double places[4][2] = {{3, 3}, {3, -3}, {-3, -3}, {-3, 3}};
    data.labels.push_back(static_cast<std::int32_t>(i % 2));
    for (const double v : places[i % 4]) data.values.push_back(static_cast<float>(v + random.normal()));
  }
  return data;
}

MemoryRows no_rows(std::size_t dim) {
  return MemoryRows({}, dim, {});
}

/// softmax of the similarities to the class means, from the formulas.
std::vector<double> by_class_mean(const Data& train, const float* query, bool cosine, double t,
                                  std::size_t classes) {
  const std::size_t dim = train.dim;
  const auto unit = [&](std::vector<double> v) {
    const double length = std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
    for (double& e : v) e /= cosine ? length : 1;
    return v;
  };
  const std::vector<double> q = unit({query, query + dim});
  std::vector<double> score(classes);
  for (std::size_t c = 0; c < classes; ++c) {
    std::vector<double> mean(dim);
    double n = 0;
    for (std::size_t r = 0; r < train.labels.size(); ++r) {
      if (train.labels[r] != static_cast<std::int32_t>(c)) continue;
      const auto x = unit({train.values.data() + r * dim, train.values.data() + (r + 1) * dim});
      for (std::size_t d = 0; d < dim; ++d) mean[d] += x[d];
      ++n;
    }
    for (double& m : mean) m /= n;
    mean = unit(mean);
    for (std::size_t d = 0; d < dim; ++d) score[c] += cosine ? q[d] * mean[d] : -std::pow(q[d] - mean[d], 2);
  }
  const double top = *std::max_element(score.begin(), score.end());
  double sum = 0;
  for (double& s : score) sum += s = std::exp((s - top) / t);
  for (double& s : score) s /= sum;
  return score;
}

TEST(Prototypes, OneAClassIsTheNearestClassMean) {
  Random random(5);
  for (std::uint64_t round = 0; round < 40; ++round) {
    const std::size_t classes = 2 + random.below(4), dim = classes + random.below(20);
    const bool cosine = round % 2 == 0;
    const double t = std::stod(std::to_string(random.uniform(0.05, 2)));
    const Data train = random_data(classes + random.below(3000), dim, classes, 2 * round);
    const Data val = random_data(1 + random.below(40), dim, classes, 2 * round + 1);
    StageHarness prototypes("prototypes", "{temperature: " + std::to_string(t) +
                                              ", metric: " + (cosine ? "cosine" : "euclidean") + "}");
    const MemoryRows train_rows = train.rows(), val_rows = val.rows();
    const LearnerResult result = prototypes.fit(train_rows, val_rows, std::vector<std::string>(classes, "c"));
    EXPECT_EQ(result.summary.find("prototypes")->as_int(), static_cast<std::int64_t>(classes));
    for (std::size_t r = 0; r < val.labels.size(); ++r) {
      const auto want = by_class_mean(train, val.values.data() + r * dim, cosine, t, classes);
      for (std::size_t c = 0; c < classes; ++c)
        ASSERT_NEAR(result.val.row(r)[c], want[c], 2e-5) << "round " << round;
    }
  }
}

TEST(Prototypes, SeveralAClassTellWhatMeansCannot) {
  const Data train = two_places(200, 1), val = two_places(100, 2);
  const MemoryRows train_rows = train.rows(), val_rows = val.rows();
  StageHarness prototypes("prototypes", "{per_class: [1, 2], metric: euclidean}");
  const LearnerResult result = prototypes.fit(train_rows, val_rows, kTwo);
  EXPECT_THAT(prototypes.warnings(), IsEmpty());
  EXPECT_EQ(result.summary.find("per_class")->as_int(), 2);
  EXPECT_EQ(result.summary.find("prototypes")->as_int(), 4);
  EXPECT_EQ(result.summary.find("chosen_on")->as_string(), "val");
  const Value::List& path = result.summary.find("path")->as_list();
  ASSERT_EQ(path.size(), 22U);
  for (const Value& trial : path) {
    if (trial.find("per_class")->as_int() == 1) {
      EXPECT_LT(trial.find("val_accuracy")->as_double(), 0.8);
    } else {
      EXPECT_GT(trial.find("val_accuracy")->as_double(), 0.95);
    }
  }
}

TEST(Prototypes, TakeTheTemperatureWithTheLowestLogLoss) {
  const Data train = random_data(300, 10, 3, 1), val = random_data(200, 10, 3, 2);
  const MemoryRows train_rows = train.rows(), val_rows = val.rows();
  const LearnerResult result =
      StageHarness("prototypes", "{temperature: [10, 0.01, 0.3, 0.1]}").fit(train_rows, val_rows, kThree);
  double best = 1e9, temperature = 0;
  for (const double t : {0.01, 0.1, 0.3, 10.0}) {
    double loss = 0;
    for (std::size_t r = 0; r < 200; ++r)
      loss -= std::log(by_class_mean(train, val.values.data() + r * 10, true, t, 3)[val.labels[r]]) / 200;
    if (loss < best) best = loss, temperature = t;
  }
  EXPECT_EQ(result.summary.find("temperature")->as_double(), temperature);
  // The final model has learnt val, too: it is the one of both parts.
  Data both = train;
  both.values.insert(both.values.end(), val.values.begin(), val.values.end());
  both.labels.insert(both.labels.end(), val.labels.begin(), val.labels.end());
  Sequential sequential;
  const Scores scores = result.predictor->predict({&val_rows}, sequential);
  for (std::size_t r = 0; r < 200; ++r)
    EXPECT_NEAR(scores.row(r)[1], by_class_mean(both, val.values.data() + r * 10, true, temperature, 3)[1],
                2e-5);
}

TEST(Prototypes, HaveTheSameBitsForAnyNumberOfThreadsAndAfterLoading) {
  const MemoryRows train = random_data(5000, 9, 3, 1).rows(), val = random_data(1500, 9, 3, 2).rows();
  for (const char* with : {"{}", "{per_class: [1, 3], metric: euclidean}",
                           "{per_class: 4, embedding: {pca: {dims: 4}}}", "{embedding: lda}"}) {
    StageHarness a("prototypes", with), b("prototypes", with);
    Sequential one;
    Threads four(4);
    const LearnerResult x = a.fit(train, val, kThree, &one), y = b.fit(train, val, kThree, &four);
    EXPECT_EQ(x.summary, y.summary) << with;
    EXPECT_EQ(x.val.values, y.val.values) << with;
    const Scores scores = x.predictor->predict({&val}, one);
    EXPECT_EQ(scores.values, y.predictor->predict({&val}, four).values) << with;
    Bundle bundle;
    x.predictor->save(bundle);
    bundle.facts = Value::from_json(bundle.facts.to_json());
    EXPECT_EQ(a.as<Learner>().load(bundle)->predict({&val}, one).values, scores.values) << with;
  }
}

TEST(Prototypes, AreFewerWhereAClassHasFewerRows) {
  const MemoryRows train({0, 1, 2, 10, 11, 11}, 1, {0, 0, 0, 1, 1, 1});
  const LearnerResult result = StageHarness("prototypes", "{per_class: 3, metric: euclidean, temperature: 1}")
                                   .fit(train, no_rows(1), kTwo);
  EXPECT_EQ(result.summary.find("prototypes")->as_int(), 5);  // two rows of bees are equal
  EXPECT_EQ(result.val.rows, 0U);
}

TEST(Prototypes, GiveAClassWithoutTrainRowsTheScoreZero) {
  const MemoryRows train({1, 0, 0, 1, 1, 0.1F}, 2, {0, 2, -1});
  const MemoryRows val({1, 0.2F, 0, 1}, 2, {0, -1});
  for (const char* with : {"{temperature: 0.1}", "{temperature: 0.1, per_class: 2}"}) {
    StageHarness prototypes("prototypes", with);
    const LearnerResult result = prototypes.fit(train, val, kThree);
    EXPECT_THAT(prototypes.warnings(), ElementsAre("no train rows of bees: the score of such a class is 0"));
    for (std::size_t r = 0; r < 2; ++r) {
      EXPECT_EQ(result.val.row(r)[1], 0);
      EXPECT_NEAR(result.val.row(r)[0] + result.val.row(r)[2], 1, 1e-6);
    }
  }
}

TEST(Prototypes, WarnWhereCosinesAreRoundingErrors) {
  // 1 - cosine is 0 or 2e-6.
  const MemoryRows train({1000, 1, 1000, -1, 500, 0.5F, 500, -0.5F}, 2, {0, 1, 0, 1});
  StageHarness cosine("prototypes", "{temperature: 1}");
  cosine.fit(train, no_rows(2), kTwo);
  EXPECT_THAT(
      cosine.warnings(),
      ElementsAre(
          "table 'table': 1 - cosine of its train rows is 1.0e-06 on average, expected at least 1.2e-05: "
          "float32 rounds a cosine by up to 1.2e-07, so which rows are near is partly a matter of "
          "rounding; the rows have a large part in common: use metric: euclidean, or take it away "
          "(embedding: pca)"));
  StageHarness euclidean("prototypes", "{temperature: 1, metric: euclidean}");
  euclidean.fit(train, no_rows(2), kTwo);
  EXPECT_THAT(euclidean.warnings(), IsEmpty());
}

TEST(Prototypes, TellWhenThereIsNothingToChooseOn) {
  const MemoryRows train = random_data(30, 4, 3, 1).rows();
  StageHarness cosine("prototypes", "{per_class: [2, 1]}");
  EXPECT_EQ(cosine.fit(train, no_rows(4), kThree).summary.find("temperature")->as_double(), 0.1);
  EXPECT_THAT(
      cosine.warnings(),
      ElementsAre("table 'table' has no labelled val rows to choose per_class and temperature on: taking "
                  "per_class = 1 (nearest to 1), temperature = 0.1 (nearest to 0.1); give the source a val "
                  "split, or set each to one value"));
  StageHarness euclidean("prototypes", "{metric: euclidean}");
  EXPECT_EQ(euclidean.fit(train, no_rows(4), kThree).summary.find("temperature")->as_double(), 1);
}

TEST(Prototypes, CopeWithOneClassOneRowZerosAndHugeFeatures) {
  const MemoryRows queries({0, 0, 3e38F, -3e38F, 1, 2}, 2, {0, 1, 1});
  for (const char* with :
       {"{}", "{metric: euclidean}", "{per_class: [1, 2]}", "{per_class: 2, metric: euclidean}"}) {
    for (const MemoryRows& train : {MemoryRows({1, 2}, 2, {1}), MemoryRows({0, 0, 0, 0}, 2, {0, 1}),
                                    MemoryRows({3e38F, 3e38F, -3e38F, 1, 5, 5, 0, 1}, 2, {0, 0, 1, 1}),
                                    MemoryRows({1, 2, 2, 1}, 2, {0, 0})}) {
      const LearnerResult result = StageHarness("prototypes", with).fit(train, queries, kTwo);
      for (std::size_t r = 0; r < 3; ++r)
        EXPECT_NEAR(result.val.row(r)[0] + result.val.row(r)[1], 1, 1e-6) << with;
    }
  }
}

TEST(Prototypes, RefuseTablesTheyCannotLearnFrom) {
  const MemoryRows none({1, 2}, 1, {-1, -1});
  EXPECT_THAT(
      error_of([&] { StageHarness("prototypes").fit(none, no_rows(1), kTwo); }),
      StrEq("table 'table' has no labelled train rows: expected at least 1; check the labels, the splits and "
            "the rejected inputs"));
  const MemoryRows nan({1, std::numeric_limits<float>::quiet_NaN()}, 1, {0, 1});
  EXPECT_THAT(
      error_of([&] { StageHarness("prototypes").fit(nan, no_rows(1), kTwo); }),
      StrEq("row '" + std::string(nan.key(1)) +
            "' (view 0): feature 0 is nan: expected finite numbers; look at this input, drop it from the "
            "source, or check the normalisation and precision of the backbone"));
  const MemoryRows wrong({1, 2}, 1, {0, 5});
  EXPECT_THAT(
      error_of([&] { StageHarness("prototypes").fit(wrong, no_rows(1), kTwo); }),
      StrEq("row '" + std::string(wrong.key(1)) +
            "' has label 5: expected 0 to 1 for the 2 classes of its source; check the labels there"));
}

TEST(Prototypes, RefuseADamagedBundleAndATableOfAnotherWidth) {
  StageHarness prototypes("prototypes");
  const LearnerResult result = prototypes.fit(random_data(10, 3, 3, 1).rows(), no_rows(3), kThree);
  Bundle good;
  result.predictor->save(good);
  const auto load = [&](const std::function<void(Bundle&)>& damage) {
    Bundle bundle = good;
    damage(bundle);
    return error_of([&] { prototypes.as<Learner>().load(bundle); });
  };
  const std::string cure = "; the bundle is damaged or of another learner; train the model again";
  EXPECT_THAT(load([](Bundle& b) { b.tensors.erase("prototypes"); }),
              StrEq("bundle without the tensor 'prototypes': expected f32 [3,3]" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["classes"] = 2; }),
              StrEq("tensor 'labels' of the bundle has class 2: expected 0 to 1" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["temperature"] = -1.0; }),
              StrEq("'temperature' of the bundle is -1: expected a number above 0" + cure));
  const MemoryRows other({1, 2}, 2, {0});
  Sequential sequential;
  EXPECT_THAT(
      error_of([&] { result.predictor->predict({&other}, sequential); }),
      StrEq(
          "the table has 2 features per row: expected 3, as in training; make it with the same backbone and "
          "tap"));
}

}  // namespace
}  // namespace graft
