#include <gmock/gmock.h>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <memory>
#include <numeric>
#include <set>
#include <string>

#include <graft/random.h>

#include <learning/testing/fixtures.h>

namespace graft {
namespace {

using graft::testing::error_of;
using graft::testing::StageHarness;
using graft::testing::Threads;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::StrEq;

const std::vector<std::string> kTwo = {"ants", "bees"};
const std::vector<std::string> kThree = {"ants", "bees", "wasps"};

/// Whether knn was built with FAISS.
bool has_faiss() {
  try {
    StageHarness("knn", "{index: ivf}").as<Learner>();
  } catch (const Error&) {
    return false;
  }
  return true;
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

/// Everything that changes how rows are compared or searched.
std::vector<std::string> variants() {
  std::vector<std::string> all = {"metric: euclidean",
                                  "weights: uniform",
                                  "embedding: {pca: {energy: 0.9}}",
                                  "metric: euclidean, embedding: {pca: {dims: 5, whiten: true}}",
                                  "embedding: lda",
                                  "embedding: {nca: {dims: 4, rows: 200, max_iterations: 5}}",
                                  "embedding: {contrastive: {dims: 4, rows: 200, max_iterations: 5}}",
                                  "embedding: {select: {by: fisher, dims: 6}}"};
  if (has_faiss()) {
    all.insert(all.end(), {"index: ivf", "index: {ivf: {nlist: 10, nprobe: 2}}, metric: euclidean",
                           "index: hnsw, embedding: {pca: {dims: 5}}"});
  }
  return all;
}

TEST(Knn, HasTheSameBitsForAnyNumberOfThreads) {
  const auto check = [](const MemoryRows& train, const MemoryRows& val, const std::string& with) {
    StageHarness a("knn", "{k: [5, 20], " + with + "}"), b("knn", "{k: [5, 20], " + with + "}");
    Sequential one;
    Threads four(4);
    const LearnerResult x = a.fit(train, val, kThree, &one);
    const LearnerResult y = b.fit(train, val, kThree, &four);
    EXPECT_EQ(x.val.values, y.val.values) << with;
    EXPECT_EQ(x.summary, y.summary) << with;
    EXPECT_EQ(x.predictor->predict({&val}, one).values, y.predictor->predict({&val}, four).values) << with;
    EXPECT_EQ(x.predictor->neighbours({&val}, one).rows, y.predictor->neighbours({&val}, four).rows) << with;
  };
  check(random_data(3000, 40, 3, 1).rows(), random_data(4000, 40, 3, 2).rows(), "retrieval: 100");
  const MemoryRows train = random_data(1200, 12, 3, 1).rows(), val = random_data(2100, 12, 3, 2).rows();
  for (const std::string& with : variants()) check(train, val, "retrieval: 50, " + with);
}

TEST(Knn, ScoresAsBeforeAfterSavingAndLoading) {
  const MemoryRows train = random_data(500, 12, 3, 1).rows();
  const MemoryRows val = random_data(100, 12, 3, 2).rows();
  auto all = variants();
  all.push_back("metric: cosine");
  for (const std::string& with : all) {
    StageHarness knn("knn", "{k: 7, temperature: 0.2, " + with + "}");
    const LearnerResult result = knn.fit(train, val, kThree);
    Bundle bundle;
    result.predictor->save(bundle);
    bundle.facts = Value::from_json(bundle.facts.to_json());
    Sequential sequential;
    EXPECT_EQ(knn.as<Learner>().load(bundle)->predict({&val}, sequential).values,
              result.predictor->predict({&val}, sequential).values)
        << with;
  }
}

TEST(Knn, HasTheSameBitsWhereTheRowsDoNotFitItsCache) {
  const MemoryRows train = random_data(3000, 12, 3, 1).rows(), val = random_data(1100, 12, 3, 2).rows();
  Sequential one;
  Threads eight(8);
  auto all = variants();
  all.push_back("metric: cosine");
  for (const std::string& with : all) {
    const std::string params = "{k: [5, 20], retrieval: 50, " + with;
    StageHarness a("knn", params + "}"), b("knn", params + ", cache: 0}");
    const LearnerResult x = a.fit(train, val, kThree, &one), y = b.fit(train, val, kThree, &eight);
    EXPECT_EQ(x.val.values, y.val.values) << with;
    EXPECT_EQ(x.summary, y.summary) << with;
    const Scores scores = x.predictor->predict({&val}, one);
    EXPECT_EQ(scores.values, y.predictor->predict({&val}, eight).values) << with;
    const Neighbours near = x.predictor->neighbours({&val}, one);
    EXPECT_EQ(near.rows, y.predictor->neighbours({&val}, eight).rows) << with;
    EXPECT_EQ(near.similarity, y.predictor->neighbours({&val}, eight).similarity) << with;
    // And from what either leaves on disk, with either cache.
    for (const Predictor* predictor : {x.predictor.get(), y.predictor.get()}) {
      Bundle bundle;
      predictor->save(bundle);
      for (StageHarness* loader : {&a, &b})
        EXPECT_EQ(scores.values, loader->as<Learner>().load(bundle)->predict({&val}, eight).values) << with;
    }
  }
}

/// More rows than memory is to hold: class r % 2, features out of a small table, a little nearer to others of
/// the class.
class ManyRows final : public RowSet {
 public:
  ManyRows(std::size_t rows, std::size_t dim, std::string name)
      : rows_(rows), shape_{static_cast<std::int64_t>(dim)}, name_(std::move(name)), noise_(997 + dim) {
    Random random(5);
    for (float& v : noise_) v = static_cast<float>(random.uniform(-1, 1));
  }
  std::size_t rows() const override { return rows_; }
  const Shape& shape() const override { return shape_; }
  DType dtype() const override { return DType::F32; }
  std::string_view key(std::size_t) const override { return name_; }  // as views of one input
  std::uint32_t view(std::size_t row) const override { return static_cast<std::uint32_t>(row); }
  Split split(std::size_t) const override { return Split::Train; }
  std::span<const std::int32_t> labels(std::size_t row) const override { return {kLabels + row % 2, 1}; }
  void read(std::size_t first, std::size_t count, float* out) const override {
    for (std::size_t r = first; r < first + count; ++r, out += dim()) {
      std::copy_n(noise_.data() + r * 131 % 997, dim(), out);
      out[r % 2] += 3;
      out[r % dim()] += static_cast<float>(r) / static_cast<float>(rows_);
    }
  }
  void read_raw(std::size_t first, std::size_t count, void* out) const override {
    read(first, count, static_cast<float*>(out));
  }

 private:
  static constexpr std::int32_t kLabels[] = {0, 1};
  std::size_t rows_;
  Shape shape_;
  std::string name_;
  std::vector<float> noise_;
};

/// Peak memory of the process in MiB since the last reset (proc(5), clear_refs).
double peak_mib(bool set_back) {
  if (set_back) std::ofstream("/proc/self/clear_refs") << 5;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0) return std::stod(line.substr(6)) / 1024;
  return 0;
}

TEST(Knn, AnswersFromMoreRowsThanItMayHold) {
  const ManyRows train(400'000, 256, "train"), val(64, 256, "val"), test(300, 256, "test");  // 391 MiB
  Threads two(2);
  StageHarness knn("knn", "{k: 20, cache: 32, retrieval: 20}");
  [[maybe_unused]] const double before = peak_mib(true);
  const LearnerResult result = knn.fit(train, val, kTwo, &two);
  const Scores scores = result.predictor->predict({&test}, two);
  EXPECT_EQ(result.predictor->neighbours({&test}, two).k, 5U);
  Bundle bundle;
  result.predictor->save(bundle);
  EXPECT_EQ(knn.as<Learner>().load(bundle)->predict({&test}, two).values, scores.values);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(peak_mib(false) - before, 200);
#endif
  for (std::size_t r = 0; r < scores.rows; ++r) EXPECT_GT(scores.row(r)[r % 2], 0.9F) << r;
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

TEST(Knn, TellsWhatItsEmbeddingKeeps) {
  const MemoryRows train = random_data(90, 6, 3, 1).rows(), val = random_data(30, 6, 3, 2).rows();
  StageHarness knn("knn", "{k: 5, embedding: {pca: {dims: 10}}}");
  const LearnerResult result = knn.fit(train, val, kThree);
  EXPECT_EQ(result.summary.find("embedding")->find("dims")->as_int(), 6);
  EXPECT_NEAR(result.summary.find("embedding")->find("retained_energy")->as_double(), 1, 1e-9);
  EXPECT_EQ(result.summary.find("refit")->find("embedding")->find("kind")->as_string(), "pca");
  EXPECT_THAT(knn.warnings(),
              ElementsAre("embedding pca: 10 outputs were wanted, but the 90 train rows vary in 6 "
                          "directions: 6 are taken"));
  EXPECT_THAT(
      error_of([&] {
        StageHarness("knn", "{embedding: pca}").fit(MemoryRows({1, 2}, 2, {0}), MemoryRows({}, 2, {}), kTwo);
      }),
      StrEq("embedding pca: 1 labelled train row: expected at least 2"));
  EXPECT_THAT(error_of([] { StageHarness("knn", "{embedding: {pca: {dim: 3}}}"); }),
              StrEq("embedding.pca.dim: unknown parameter 'dim'; did you mean 'dims'? (allowed: dims, "
                    "energy, whiten)"));
}

TEST(Knn, NamesTheRowThatOverflowsAnEmbedding) {
  const MemoryRows train = random_data(60, 4, 2, 1).rows();
  const MemoryRows val({0, 0, 0, 0, 3e38F, 3e38F, 3e38F, 3e38F}, 4, {0, 1});
  EXPECT_THAT(
      error_of([&] { StageHarness("knn", "{embedding: {pca: {whiten: true}}}").fit(train, val, kTwo); }),
      StrEq("row '" + std::string(val.key(1)) +
            "': its features are so far from those of training that the embedding (pca) overflows; look at "
            "this input, or scale the features"));
}

TEST(Knn, RefusesADamagedBundle) {
  const MemoryRows train = random_data(10, 3, 3, 1).rows();
  StageHarness knn("knn");
  Bundle good;
  knn.fit(train, MemoryRows({}, 3, {}), kThree).predictor->save(good);
  const auto load = [&](const std::function<void(Bundle&)>& damage) {
    Bundle bundle = good;
    damage(bundle);
    return error_of([&] { knn.as<Learner>().load(bundle); });
  };
  const std::string cure = "; the bundle is damaged or of another learner; train the model again";
  EXPECT_THAT(load([](Bundle& b) { b.large.erase("rows"); }),
              StrEq("bundle without the tensor 'rows': expected f32 [10,3]" + cure));
  EXPECT_THAT(load([](Bundle& b) {
                b.large["rows"] = std::make_shared<learning::CountedTensor>(std::vector<float>(40), 4);
              }),
              StrEq("tensor 'rows' of the bundle is f32 [10,4]: expected f32 [10,3]" + cure));
  EXPECT_THAT(load([](Bundle& b) {
                std::vector<float> rows(30);
                rows[29] = std::numeric_limits<float>::infinity();
                b.large["rows"] = std::make_shared<learning::CountedTensor>(rows, 3);
              }),
              StrEq("tensor 'rows' of the bundle has values that are not finite" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts = Value::map(); }), StrEq("bundle without 'classes'" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["k"] = 0; }),
              StrEq("'k' of the bundle is 0: expected a whole number from 1 to 2147483647" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["classes"] = 2; }),
              StrEq("tensor 'labels' of the bundle has class 2: expected 0 to 1" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["metric"] = "manhattan"; }),
              StrEq("metric 'manhattan': expected cosine or euclidean"));
  EXPECT_THAT(load([](Bundle& b) {
                b.facts["embedding"] = "pca";
                b.facts["embedding_inputs"] = 4;
                b.facts["embedding_dims"] = 1;
                b.tensors["embedding.mean"] = StageHarness::tensor({4}, {0, 0, 0, 0});
                b.tensors["embedding.directions"] = StageHarness::tensor({1, 4}, {1, 0, 0, 0});
              }),
              StrEq("'embedding_inputs' of the bundle is 4: expected 3, as 'dim'" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["temperature"] = 0.0; }),
              StrEq("'temperature' of the bundle is 0: expected a number above 0" + cure));
}

TEST(Knn, RefusesATableOfAnotherWidth) {
  const MemoryRows train = random_data(10, 3, 3, 1).rows();
  const LearnerResult result = StageHarness("knn").fit(train, MemoryRows({}, 3, {}), kThree);
  const MemoryRows other({1, 2}, 2, {0});
  Sequential sequential;
  EXPECT_THAT(
      error_of([&] { result.predictor->predict({&other}, sequential); }),
      StrEq(
          "the table has 2 features per row: expected 3, as in training; make it with the same backbone and "
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
      ElementsAre("table 'table' has no labelled val rows to choose k and temperature on: taking k = 15 "
                  "(nearest to 20), temperature = 0.1 (nearest to 0.07); give the source a val split, or "
                  "set each to one value"));
}

/// Classes that are apart in features with a large offset.
Data with_offset(std::size_t n, std::uint64_t seed) {
  Random random(seed);
  Data data{4, {}, {}};
  for (std::size_t i = 0; i < n; ++i) {
    data.labels.push_back(static_cast<std::int32_t>(i % 2));
    for (std::size_t d = 0; d < 4; ++d)
      data.values.push_back(static_cast<float>(1e4 + random.uniform(-1, 1) + (d == i % 2 ? 3 : 0)));
  }
  return data;
}

TEST(Knn, WarnsWhereCosinesAreRoundingErrorsAndWhatItNamesHelps) {
  const MemoryRows train = with_offset(60, 1).rows(), val = with_offset(20, 2).rows();
  StageHarness cosine("knn", "{k: 5}");
  cosine.fit(train, val, kTwo);
  EXPECT_THAT(cosine.warnings(),
              ElementsAre(AllOf(StartsWith("table 'table': 1 - cosine of its train rows is "),
                                HasSubstr("e-08 on average, expected at least 1.2e-05: "),
                                EndsWith(": use metric: euclidean, or take it away (embedding: pca)"))));
  for (const char* with : {"{k: 5, metric: euclidean}", "{k: 5, embedding: pca}"}) {
    StageHarness knn("knn", with);
    const LearnerResult result = knn.fit(train, val, kTwo);
    EXPECT_THAT(knn.warnings(), IsEmpty()) << with;
    for (std::size_t r = 0; r < 20; ++r) EXPECT_GT(result.val.row(r)[r % 2], 0.5F) << with;
  }
}

TEST(Knn, LeavesOutUnlabelledRowsAndNamesAbsentClasses) {
  const MemoryRows train({1, 0, 0, 1, 1, 0.1F}, 2, {0, 1, -1});
  const MemoryRows val({1, 0, 0, 1}, 2, {-1, 1});
  StageHarness knn("knn", "{k: 1}");
  const LearnerResult result = knn.fit(train, val, kThree);
  EXPECT_THAT(knn.warnings(), ElementsAre("no train rows of wasps: the score of such a class is 0"));
  EXPECT_EQ(result.val.rows, 2U);  // scored all the same
  EXPECT_EQ(result.summary.find("val_rows")->as_int(), 1);
}

TEST(Knn, RefusesTablesItCannotLearnFrom) {
  const MemoryRows none({1, 2}, 1, {-1, -1});
  EXPECT_THAT(
      error_of([&] { StageHarness("knn").fit(none, MemoryRows({}, 1, {}), kTwo); }),
      StrEq("table 'table' has no labelled train rows: expected at least 1; check the labels, the splits and "
            "the rejected inputs"));
  const MemoryRows nan({1, std::numeric_limits<float>::quiet_NaN()}, 1, {0, 1});
  EXPECT_THAT(
      error_of([&] { StageHarness("knn").fit(nan, MemoryRows({}, 1, {}), kTwo); }),
      StrEq("row '" + std::string(nan.key(1)) +
            "' (view 0): feature 0 is nan: expected finite numbers; look at this input, drop it from the "
            "source, or check the normalisation and precision of the backbone"));
}

}  // namespace
}  // namespace graft
