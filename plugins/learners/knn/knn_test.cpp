// What knn computes and chooses.

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>

#include <graft/random.h>
#include <graft/testing/stage_harness.h>

#include <learning/testing/random_rows.h>

namespace graft {
namespace {

using graft::testing::StageHarness;
using learning::Data;
using learning::kThree;
using learning::kTwo;
using learning::random_data;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Setting {
  std::string metric = "cosine", weights = "exp";
  std::size_t k = 20;
  double t = 0.07;
  std::string yaml() const {
    return "{k: " + std::to_string(k) + ", temperature: " + std::to_string(t) + ", metric: " + metric +
           ", weights: " + weights + "}";
  }
};

/// The formula written down: shares of the weights of the k nearest, everything in double.
std::vector<double> brute_force(const Data& train, const float* query, const Setting& how,
                                std::size_t classes) {
  const std::size_t n = train.labels.size();
  const bool cosine = how.metric == "cosine";
  const auto norm = [&](const float* v) { return std::sqrt(std::inner_product(v, v + train.dim, v, 0.0)); };
  std::vector<double> similarity(n);
  for (std::size_t r = 0; r < n; ++r) {
    const float* row = train.values.data() + r * train.dim;
    if (cosine) {
      similarity[r] = std::inner_product(row, row + train.dim, query, 0.0) / (norm(row) * norm(query));
    } else {
      for (std::size_t d = 0; d < train.dim; ++d) similarity[r] -= std::pow(double{row[d]} - query[d], 2);
    }
  }
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return similarity[a] > similarity[b]; });
  std::vector<double> votes(classes);
  double sum = 0;
  for (std::size_t i = 0; i < std::min(how.k, n); ++i) {
    const double s = similarity[order[i]];
    const double d = cosine ? 1 - s : std::sqrt(-s);
    const double w = how.weights == "exp"       ? std::exp((s - similarity[order[0]]) / how.t)
                     : how.weights == "uniform" ? 1
                                                : 1 / (d + 1e-5);
    votes[static_cast<std::size_t>(train.labels[order[i]])] += w;
    sum += w;
  }
  for (double& v : votes) v /= sum;
  return votes;
}

std::vector<double> brute_force(const Data& train, const float* query, std::size_t k, double t,
                                std::size_t classes) {
  return brute_force(train, query, {"cosine", "exp", k, t}, classes);
}

TEST(Knn, EqualsBruteForceForRandomSettings) {
  Random random(11);
  for (std::uint64_t round = 0; round < 200; ++round) {
    const std::size_t classes = 2 + random.below(4);
    const std::size_t dim = classes + random.below(30);
    Data train = random_data(classes + random.below(200), dim, classes, 2 * round);
    const Data val = random_data(1 + random.below(20), dim, classes, 2 * round + 1);
    // Some rows twice, under two labels.
    for (std::size_t r = 0; r + 1 < train.labels.size(); r += 1 + random.below(20)) {
      const auto row = train.values.begin() + static_cast<std::ptrdiff_t>(r * dim);
      std::copy_n(row, dim, row + static_cast<std::ptrdiff_t>(dim));
    }
    Setting how;
    how.metric = random.chance(0.5) ? "cosine" : "euclidean";
    how.weights = std::vector<std::string>{"exp", "uniform", "distance"}[random.below(3)];
    how.k = 1 + random.below(30);
    how.t = std::stod(std::to_string(random.uniform(0.02, 2)));
    StageHarness knn("knn", how.yaml());
    const MemoryRows train_rows = train.rows();
    const MemoryRows val_rows = val.rows();
    const LearnerResult result = knn.fit(train_rows, val_rows, std::vector<std::string>(classes, "c"));
    for (std::size_t r = 0; r < val.labels.size(); ++r) {
      const auto want = brute_force(train, val.values.data() + r * dim, how, classes);
      for (std::size_t c = 0; c < classes; ++c) {
        ASSERT_NEAR(result.val.row(r)[c], want[c], 2e-5)
            << "round " << round << " " << how.yaml() << ", row " << r << ", class " << c;
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

TEST(Knn, ValScoresAreThoseOfTheModelThatWasChosen) {
  // Without the val rows among the train rows, a fit on train alone predicts the same.
  const Data train = random_data(300, 8, 3, 1), val = random_data(200, 8, 3, 2);
  const MemoryRows train_rows = train.rows(), val_rows = val.rows();
  for (const char* with : {"", ", embedding: {pca: {dims: 4}}", ", metric: euclidean"}) {
    const LearnerResult chosen =
        StageHarness("knn", std::string("{k: [3, 9]") + with + "}").fit(train_rows, val_rows, kThree);
    const std::string k = std::to_string(chosen.summary.find("k")->as_int());
    const LearnerResult alone =
        StageHarness("knn", "{k: " + k + with + "}").fit(train_rows, MemoryRows({}, 8, {}), kThree);
    Sequential sequential;
    EXPECT_EQ(alone.predictor->predict({&val_rows}, sequential).values, chosen.val.values) << with;
  }
}

/// The rows of a table under keys of their own.
class Named final : public RowSet {
 public:
  Named(const MemoryRows& rows, const std::string& name) : rows_(rows) {
    for (std::size_t r = 0; r < rows.rows(); ++r) keys_.push_back(name + std::to_string(r));
  }
  std::size_t rows() const override { return rows_.rows(); }
  const Shape& shape() const override { return rows_.shape(); }
  DType dtype() const override { return rows_.dtype(); }
  std::string_view key(std::size_t row) const override { return keys_[row]; }
  std::uint32_t view(std::size_t) const override { return 0; }
  Split split(std::size_t row) const override { return rows_.split(row); }
  std::span<const std::int32_t> labels(std::size_t row) const override { return rows_.labels(row); }
  void read(std::size_t first, std::size_t count, float* out) const override {
    rows_.read(first, count, out);
  }
  void read_raw(std::size_t first, std::size_t count, void* out) const override {
    rows_.read_raw(first, count, out);
  }

 private:
  const MemoryRows& rows_;
  std::vector<std::string> keys_;
};

TEST(Knn, ListsTheNearestRowsButNeverTheRowItself) {
  // Rows on a circle, by their angle in degrees; the third has no label, so no one finds it.
  const auto at = [](const std::vector<double>& degrees) {
    std::vector<float> out;
    for (const double d : degrees) {
      out.push_back(static_cast<float>(std::cos(d * 0.017453292519943295)));
      out.push_back(static_cast<float>(std::sin(d * 0.017453292519943295)));
    }
    return out;
  };
  const MemoryRows train_rows(at({0, 10, 11, 40, 90}), 2, {0, 0, -1, 1, 1});
  const MemoryRows val_rows(at({12, 85}), 2, {0, 1});
  const MemoryRows test_rows(at({41}), 2, {1});
  const Named train(train_rows, "train"), val(val_rows, "val"), test(test_rows, "test");
  StageHarness knn("knn", "{k: 2, neighbours: 3}");
  const LearnerResult result = knn.fit(train, val, kTwo);
  Sequential sequential;
  // Positions in train + val: 0 to 4, then 5 (at 12 degrees) and 6 (at 85).
  const Neighbours of_val = result.predictor->neighbours({&val}, sequential);
  EXPECT_EQ(of_val.k, 3U);
  EXPECT_THAT(of_val.rows, ElementsAre(1, 0, 3, 4, 3, 5));
  EXPECT_NEAR(of_val.similarity[0], std::cos(2 * 0.017453292519943295), 1e-6);
  const Neighbours of_test = result.predictor->neighbours({&test}, sequential);
  EXPECT_THAT(of_test.rows, ElementsAre(3, 5, 1));

  StageHarness none("knn", "{k: 2, neighbours: 0}");
  EXPECT_EQ(none.fit(train, val, kTwo).predictor->neighbours({&val}, sequential).k, 0U);
  StageHarness many("knn", "{k: 2, neighbours: 100}");
  EXPECT_EQ(many.fit(train, val, kTwo).predictor->neighbours({&val}, sequential).k, 5U);  // all but itself
  Bundle bundle;
  result.predictor->save(bundle);
  // A model that was loaded names the same rows, but no longer knows which of them a row is.
  const Neighbours loaded = knn.as<Learner>().load(bundle)->neighbours({&test}, sequential);
  EXPECT_EQ(loaded.rows, of_test.rows);
  EXPECT_EQ(loaded.similarity, of_test.similarity);
}

TEST(Knn, SaysHowWellValRowsFindTrainRows) {
  const MemoryRows train({1, 0, 1, 0.1F, 0, 1}, 2, {0, 1, 1});
  const MemoryRows val({1, -0.1F, 1, 0.2F}, 2, {0, 2});
  const LearnerResult result = StageHarness("knn", "{k: 1}").fit(train, val, kThree);
  const Value& figures = *result.summary.find("retrieval");
  EXPECT_EQ(figures.find("by")->as_string(), "val");
  EXPECT_EQ(figures.find("queries")->as_int(), 1);
  EXPECT_EQ(figures.find("lone_queries")->as_int(), 1);
  EXPECT_EQ(figures.find("hit_rate_at_1")->as_double(), 1);
  EXPECT_EQ(figures.find("map_at_r")->as_double(), 1);
  EXPECT_EQ(figures.find("hit_rate_at_5"), nullptr);
}

TEST(Knn, LeavesOneOutWhereThereIsNoVal) {
  const MemoryRows train_rows({1, 0, 1, 0.1F, 0, 1, 0.1F, 1}, 2, {0, 0, 1, 0});
  const LearnerResult result =
      StageHarness("knn", "{k: 1}").fit(Named(train_rows, "train"), MemoryRows({}, 2, {}), kTwo);
  const Value& figures = *result.summary.find("retrieval");
  EXPECT_EQ(figures.find("by")->as_string(), "train, leaving one out");
  EXPECT_EQ(figures.find("queries")->as_int(), 3);
  EXPECT_EQ(figures.find("lone_queries")->as_int(), 1);
  // The first two find each other, the last finds row 2 of the other class first.
  EXPECT_DOUBLE_EQ(figures.find("hit_rate_at_1")->as_double(), 2.0 / 3);
  EXPECT_EQ(StageHarness("knn", "{k: 1, retrieval: 0}")
                .fit(train_rows, MemoryRows({}, 2, {}), kTwo)
                .summary.find("retrieval"),
            nullptr);
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

}  // namespace
}  // namespace graft
