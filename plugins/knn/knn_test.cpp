#include <gmock/gmock.h>

#include <graft/testing/stage_harness.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include <graft/random.h>

namespace graft {
namespace {

using graft::testing::StageHarness;
using graft::testing::Threads;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StrEq;

const std::vector<std::string> kTwo = {"ants", "bees"};
const std::vector<std::string> kThree = {"ants", "bees", "wasps"};

std::string message(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

struct Data {
  std::size_t dim;
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  MemoryRows rows() const { return MemoryRows(values, dim, labels); }
};

/// Classes in turn; a row leans towards its class's axis.
Data random_data(std::size_t n, std::size_t dim, std::size_t classes, std::uint64_t seed) {
  Random random(seed);
  Data data{dim, {}, {}};
  for (std::size_t i = 0; i < n; ++i) {
    data.labels.push_back(static_cast<std::int32_t>(i % classes));
    for (std::size_t d = 0; d < dim; ++d) {
      data.values.push_back(static_cast<float>(random.uniform(-1, 1) + (d == i % classes ? 0.5 : 0)));
    }
  }
  return data;
}

/// The formula written down: shares of exp(cosine / T) among the k nearest, everything in double.
std::vector<double> brute_force(const Data& train, const float* query, std::size_t k, double t,
                                std::size_t classes) {
  const std::size_t n = train.labels.size();
  const auto norm = [&](const float* v) { return std::sqrt(std::inner_product(v, v + train.dim, v, 0.0)); };
  std::vector<double> cosine(n);
  for (std::size_t r = 0; r < n; ++r) {
    const float* row = train.values.data() + r * train.dim;
    cosine[r] = std::inner_product(row, row + train.dim, query, 0.0) / (norm(row) * norm(query));
  }
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return cosine[a] > cosine[b]; });
  std::vector<double> votes(classes);
  double sum = 0;
  for (std::size_t i = 0; i < std::min(k, n); ++i) {
    const double w = std::exp(cosine[order[i]] / t);
    votes[static_cast<std::size_t>(train.labels[order[i]])] += w;
    sum += w;
  }
  for (double& v : votes) v /= sum;
  return votes;
}

TEST(Knn, EqualsBruteForceForRandomSettings) {
  Random random(11);
  for (std::uint64_t round = 0; round < 200; ++round) {
    const std::size_t classes = 2 + random.below(4);
    const std::size_t dim = classes + random.below(30);
    const Data train = random_data(classes + random.below(200), dim, classes, 2 * round);
    const Data val = random_data(1 + random.below(20), dim, classes, 2 * round + 1);
    const std::size_t k = 1 + random.below(30);
    const double t = random.uniform(0.02, 2);
    StageHarness knn("knn", "{k: " + std::to_string(k) + ", temperature: " + std::to_string(t) + "}");
    const MemoryRows train_rows = train.rows();
    const MemoryRows val_rows = val.rows();
    const LearnerResult result = knn.fit(train_rows, val_rows, std::vector<std::string>(classes, "c"));
    for (std::size_t r = 0; r < val.labels.size(); ++r) {
      const auto want =
          brute_force(train, val.values.data() + r * dim, k, std::stod(std::to_string(t)), classes);
      for (std::size_t c = 0; c < classes; ++c) {
        ASSERT_NEAR(result.val.row(r)[c], want[c], 2e-5)
            << "round " << round << ", row " << r << ", class " << c;
      }
    }
  }
}

TEST(Knn, ChoosesOnValAndThenLearnsVal) {
  const Data train = random_data(150, 6, 3, 1);
  const Data val = random_data(60, 6, 3, 2);
  const MemoryRows train_rows = train.rows();
  const MemoryRows val_rows = val.rows();
  StageHarness knn("knn", "{k: [25, 1, 9], temperature: [0.5, 0.07]}");
  const LearnerResult result = knn.fit(train_rows, val_rows, kThree);
  EXPECT_THAT(knn.warnings(), IsEmpty());

  // Every setting by itself must give the figures of the sweep, and the choice must be the best of them.
  const Value::List& path = result.summary.find("path")->as_list();
  ASSERT_EQ(path.size(), 6U);
  double best_accuracy = -1, best_loss = 0;
  std::int64_t best_k = 0;
  for (const Value& trial : path) {
    const auto k = static_cast<std::size_t>(trial.find("k")->as_int());
    const double t = trial.find("temperature")->as_double();
    double correct = 0, loss = 0;
    for (std::size_t r = 0; r < 60; ++r) {
      const auto shares = brute_force(train, val.values.data() + r * 6, k, t, 3);
      const auto label = static_cast<std::size_t>(val.labels[r]);
      correct += std::max_element(shares.begin(), shares.end()) - shares.begin() == val.labels[r] ? 1 : 0;
      loss -= std::log(std::max(shares[label], 0x1p-52));
    }
    EXPECT_DOUBLE_EQ(trial.find("val_accuracy")->as_double(), correct / 60);
    EXPECT_NEAR(trial.find("val_log_loss")->as_double(), loss / 60, 1e-4);
    const double accuracy = trial.find("val_accuracy")->as_double();
    const double log_loss = trial.find("val_log_loss")->as_double();
    if (accuracy > best_accuracy || (accuracy == best_accuracy && log_loss < best_loss)) {
      best_accuracy = accuracy;
      best_loss = log_loss;
      best_k = trial.find("k")->as_int();
    }
  }
  EXPECT_EQ(result.summary.find("k")->as_int(), best_k);
  EXPECT_EQ(result.summary.find("chosen_on")->as_string(), "val");

  // Val scores come from train rows alone; the predictor has learnt val too, so with k = 1 it knows those
  // rows.
  StageHarness one("knn", "{k: 1}");
  const LearnerResult nearest = one.fit(train_rows, val_rows, kThree);
  Sequential sequential;
  const Scores known = nearest.predictor->predict({&val_rows}, sequential);
  std::size_t same = 0;
  for (std::size_t r = 0; r < 60; ++r) {
    EXPECT_EQ(known.row(r)[val.labels[r]], 1.0F);
    same += nearest.val.row(r)[val.labels[r]] == 1.0F ? 1 : 0;
  }
  EXPECT_LT(same, 60U);
}

TEST(Knn, HasTheSameBitsForAnyNumberOfThreads) {
  const MemoryRows train = random_data(3000, 40, 3, 1).rows();
  const MemoryRows val = random_data(9000, 40, 3, 2).rows();
  StageHarness a("knn", "{k: [5, 20]}"), b("knn", "{k: [5, 20]}");
  Sequential one;
  Threads four(4);
  const LearnerResult x = a.fit(train, val, kThree, &one);
  const LearnerResult y = b.fit(train, val, kThree, &four);
  EXPECT_EQ(x.val.values, y.val.values);
  EXPECT_EQ(x.summary, y.summary);
  EXPECT_EQ(x.predictor->predict({&val}, one).values, y.predictor->predict({&val}, four).values);
}

TEST(Knn, ScoresAsBeforeAfterSavingAndLoading) {
  const MemoryRows train = random_data(500, 12, 3, 1).rows();
  const MemoryRows val = random_data(100, 12, 3, 2).rows();
  StageHarness knn("knn", "{k: 7, temperature: 0.2}");
  const LearnerResult result = knn.fit(train, val, kThree);
  Bundle bundle;
  result.predictor->save(bundle);
  bundle.facts = Value::from_json(bundle.facts.to_json());
  Sequential sequential;
  EXPECT_EQ(knn.as<Learner>().load(bundle)->predict({&val}, sequential).values,
            result.predictor->predict({&val}, sequential).values);
}

TEST(Knn, RefusesADamagedBundle) {
  const MemoryRows train = random_data(10, 3, 3, 1).rows();
  StageHarness knn("knn");
  Bundle good;
  knn.fit(train, MemoryRows({}, 3, {}), kThree).predictor->save(good);
  const auto load = [&](const std::function<void(Bundle&)>& damage) {
    Bundle bundle = good;
    damage(bundle);
    return message([&] { knn.as<Learner>().load(bundle); });
  };
  const std::string cure = "; the bundle is damaged or of another learner; train the model again";
  EXPECT_THAT(load([](Bundle& b) { b.tensors.erase("rows"); }),
              StrEq("bundle without the tensor 'rows': expected f32 [10,3]" + cure));
  EXPECT_THAT(load([](Bundle& b) {
                b.tensors["rows"] = Tensor::allocate(DType::F32, {10, 4});
              }),
              StrEq("tensor 'rows' of the bundle is f32 [10,4]: expected f32 [10,3]" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts = Value::map(); }), StrEq("bundle without 'classes'" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["k"] = 0; }),
              StrEq("'k' of the bundle is 0: expected a whole number of at least 1" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["classes"] = 2; }),
              StrEq("tensor 'labels' of the bundle has class 2: expected 0 to 1" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["temperature"] = 0.0; }),
              StrEq("'temperature' of the bundle is 0: expected a number above 0" + cure));
}

TEST(Knn, RefusesATableOfAnotherWidth) {
  const MemoryRows train = random_data(10, 3, 3, 1).rows();
  const LearnerResult result = StageHarness("knn").fit(train, MemoryRows({}, 3, {}), kThree);
  const MemoryRows other({1, 2}, 2, {0});
  Sequential sequential;
  EXPECT_THAT(
      message([&] { result.predictor->predict({&other}, sequential); }),
      StrEq("the table has 2 features a row: expected 3, as in training; make it with the same backbone and "
            "tap"));
}

TEST(Knn, LetsAllRowsVoteWhenThereAreFewerThanK) {
  const MemoryRows train({1, 0, 0, 1, 1, 1}, 2, {0, 1, 1});
  StageHarness knn("knn", "{k: 20, temperature: 1}");
  const LearnerResult result = knn.fit(train, MemoryRows({}, 2, {}), kTwo);
  EXPECT_THAT(knn.warnings(), ElementsAre("k = 20 is more than the 3 train rows: all of them vote"));
  Sequential sequential;
  const MemoryRows query({2, 0}, 2, {0});
  const Scores scores = result.predictor->predict({&query}, sequential);
  const double own = std::exp(1.0), others = std::exp(0.0) + std::exp(std::sqrt(0.5));
  EXPECT_NEAR(scores.row(0)[0], own / (own + others), 1e-6);
  EXPECT_EQ(result.val.rows, 0U);
}

TEST(Knn, SurvivesExtremeTemperaturesAndZeroRows) {
  // The zero row is as far from everything: the first k train rows vote.
  const MemoryRows train({1, 0, 0, 1, 0, 0, 1, 1}, 2, {0, 1, 1, 0});
  const MemoryRows queries({0, 0, 3, 0.1F}, 2, {0, 1});
  for (const char* t : {"1e-4", "1e4"}) {
    StageHarness knn("knn", std::string("{k: 2, temperature: ") + t + "}");
    const LearnerResult result = knn.fit(train, queries, kTwo);
    EXPECT_THAT(std::vector<float>(result.val.row(0), result.val.row(0) + 2), ElementsAre(0.5F, 0.5F));
    EXPECT_EQ(result.val.row(1)[0], 1.0F);
  }
}

TEST(Knn, BreaksTiesByTheLowerRow) {
  const MemoryRows train({1, 0, 2, 0, 4, 0}, 2, {1, 0, 0});  // three times the same direction
  const MemoryRows val({1, 0}, 2, {0});
  EXPECT_EQ(StageHarness("knn", "{k: 1}").fit(train, val, kTwo).val.row(0)[1], 1.0F);
}

TEST(Knn, TellsWhenThereIsNothingToChooseOn) {
  const MemoryRows train = random_data(30, 4, 3, 1).rows();
  StageHarness knn("knn", "{k: [1, 15, 200], temperature: [0.01, 0.1]}");
  const LearnerResult result = knn.fit(train, MemoryRows({}, 4, {}), kThree);
  EXPECT_EQ(result.summary.find("k")->as_int(), 15);
  EXPECT_EQ(result.summary.find("temperature")->as_double(), 0.1);
  EXPECT_THAT(
      knn.warnings(),
      ElementsAre("table 'table' has no labelled val rows to choose k and temperature on: taking k = 15, "
                  "temperature = 0.1, nearest to the defaults; give the source a val split, or set both to "
                  "one value"));
}

TEST(Knn, LeavesOutUnlabelledRowsAndNamesAbsentClasses) {
  const MemoryRows train({1, 0, 0, 1, 1, 0.1F}, 2, {0, 1, -1});
  const MemoryRows val({1, 0, 0, 1}, 2, {-1, 1});
  StageHarness knn("knn", "{k: 1}");
  const LearnerResult result = knn.fit(train, val, kThree);
  EXPECT_THAT(knn.warnings(), ElementsAre("table 'table': 1 train rows have no label and are left out",
                                          "no train rows of wasps: the score of such a class is 0",
                                          "table 'table': 1 val rows have no label and are left out"));
  EXPECT_EQ(result.val.rows, 2U);  // scored all the same
  EXPECT_EQ(result.summary.find("val_rows")->as_int(), 1);
}

TEST(Knn, RefusesTablesItCannotLearnFrom) {
  const MemoryRows none({1, 2}, 1, {-1, -1});
  EXPECT_THAT(
      message([&] { StageHarness("knn").fit(none, MemoryRows({}, 1, {}), kTwo); }),
      StrEq("table 'table' has no labelled train rows: expected at least 1; check the labels, the splits and "
            "the rejected inputs"));
  const MemoryRows nan({1, std::numeric_limits<float>::quiet_NaN()}, 1, {0, 1});
  EXPECT_THAT(
      message([&] { StageHarness("knn").fit(nan, MemoryRows({}, 1, {}), kTwo); }),
      StrEq("row '" + std::string(nan.key(1)) +
            "' (view 0): feature 0 is nan: expected finite numbers; look at this input, drop it from the "
            "source, or check the normalisation and precision of the backbone"));
}

}  // namespace
}  // namespace graft
