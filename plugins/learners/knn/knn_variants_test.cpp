// knn gives the same however its rows are searched, held and stored.

#include <gmock/gmock.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <graft/random.h>
#include <graft/testing/stage_harness.h>

#include <learning/testing/random_rows.h>

namespace graft {
namespace {

using graft::testing::StageHarness;
using graft::testing::Threads;
using learning::kThree;
using learning::kTwo;
using learning::random_data;

/// Whether knn was built with FAISS.
bool has_faiss() {
  try {
    StageHarness("knn", "{index: ivf}").as<Learner>();
  } catch (const Error&) {
    return false;
  }
  return true;
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

TEST(KnnVariants, HasTheSameBitsForAnyNumberOfThreads) {
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

TEST(KnnVariants, ScoresAsBeforeAfterSavingAndLoading) {
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

TEST(KnnVariants, HasTheSameBitsWhereTheRowsDoNotFitItsCache) {
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

TEST(KnnVariants, AnswersFromMoreRowsThanItMayHold) {
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

}  // namespace
}  // namespace graft
