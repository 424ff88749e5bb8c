#include <search/retrieval.h>

#include <gmock/gmock.h>

#include <graft/testing/stage_harness.h>

#include <algorithm>
#include <numeric>

#include <graft/random.h>

#include <learning/features.h>
#include <search/provenance.h>

namespace graft::search {
namespace {

using ::testing::IsEmpty;

/// The formulas written down, over a full sort.
Retrieval by_hand(const ExactIndex& index, const std::vector<std::int32_t>& labels,
                  const RetrievalQueries& queries, const std::vector<std::size_t>& ks) {
  Retrieval out;
  const std::size_t dim = index.dim();
  for (std::size_t q = 0; q < queries.labels.size(); ++q) {
    const RowRange hidden = queries.excluded.empty() ? RowRange{} : queries.excluded[q];
    std::vector<std::uint32_t> order;
    for (std::uint32_t r = 0; r < index.size(); ++r) {
      if (!hidden.contains(r)) order.push_back(r);
    }
    std::vector<double> s(index.size());
    for (std::size_t r = 0; r < index.size(); ++r)
      s[r] = index.metric().similarity(queries.rows.data() + q * dim, index.row(r), dim);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return s[a] > s[b]; });
    const auto is_relevant = [&](std::uint32_t r) { return labels[r] == queries.labels[q]; };
    const auto all = static_cast<double>(std::count_if(order.begin(), order.end(), is_relevant));
    if (all == 0) {
      ++out.lone;
      continue;
    }
    ++out.queries;
    double found = 0, ap = 0, map_at_r = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (is_relevant(order[i])) {
        ++found;
        const double precision = found / static_cast<double>(i + 1);
        ap += precision / all;
        if (static_cast<double>(i + 1) <= all) map_at_r += precision / all;
      }
      for (const std::size_t k : ks) {
        if (i + 1 != k) continue;
        out.hit_rate_at[k] += found > 0 ? 1 : 0;
        out.precision_at[k] += found / static_cast<double>(k);
        out.recall_at[k] += found / all;
      }
    }
    out.mean_average_precision += ap;
    out.map_at_r += map_at_r;
  }
  const auto n = static_cast<double>(std::max<std::size_t>(out.queries, 1));
  for (auto* figures : {&out.hit_rate_at, &out.precision_at, &out.recall_at}) {
    for (auto& [k, figure] : *figures) figure /= n;
  }
  out.mean_average_precision /= n;
  out.map_at_r /= n;
  return out;
}

void expect_equal(const Retrieval& got, const Retrieval& want) {
  EXPECT_EQ(got.queries, want.queries);
  EXPECT_EQ(got.lone, want.lone);
  EXPECT_NEAR(got.map_at_r, want.map_at_r, 1e-12);
  EXPECT_NEAR(got.mean_average_precision, want.mean_average_precision, 1e-12);
  const auto same = [](const auto& a, const auto& b) {
    ASSERT_EQ(a.size(), b.size());
    for (const auto& [k, figure] : a) EXPECT_NEAR(figure, b.at(k), 1e-12) << "k = " << k;
  };
  same(got.hit_rate_at, want.hit_rate_at);
  same(got.precision_at, want.precision_at);
  same(got.recall_at, want.recall_at);
}

TEST(Retrieval, IsTheFormulaForRandomRowsWithTies) {
  Sequential sequential;
  Random random(3);
  for (int round = 0; round < 100; ++round) {
    const Metric metric = round % 2 == 0 ? Metric::kCosine : Metric::kEuclidean;
    const std::size_t n = 20 + random.below(600), dim = 1 + random.below(12), count = 1 + random.below(100);
    const std::size_t classes = 1 + random.below(6);
    const bool ties = round % 4 < 2;
    const auto fill = [&](std::size_t rows) {
      std::vector<float> v(rows * dim);
      for (float& e : v)
        e = ties ? static_cast<float>(random.below(3)) : static_cast<float>(random.normal() + 50);
      if (metric == Metric::kCosine)
        learning::RowScaler(learning::RowScaler::Kind::L2).apply(rows, dim, v.data());
      return v;
    };
    const ExactIndex index(fill(n), dim, metric);
    const std::vector<float> queries = fill(count);
    std::vector<std::int32_t> labels(n), query_labels(count);
    for (auto& l : labels) l = static_cast<std::int32_t>(random.below(classes));
    for (auto& l : query_labels)
      l = static_cast<std::int32_t>(random.below(classes + 1));  // one class is not there
    std::vector<RowRange> excluded;
    for (std::size_t q = 0; q < count && round % 3 == 0; ++q) {
      const auto begin = static_cast<std::uint32_t>(random.below(n - 3));
      excluded.push_back({begin, begin + 3});
    }
    const RetrievalQueries all{queries, query_labels, excluded};
    const Retrieval got = retrieval(index, labels, all, {1, 5, 10}, sequential);
    expect_equal(got, by_hand(index, labels, all, {1, 5, 10}));
    const ExactIndex read(index.reader(), metric, 0, sequential, 1);
    EXPECT_EQ(retrieval(read, labels, all, {1, 5, 10}, sequential).summary(), got.summary());
  }
}

TEST(Retrieval, OfAnExampleThatCanBeCountedByHand) {
  // Seen from 0, the rows come in their order: relevant at ranks 1, 3 and 6.
  const ExactIndex index({1, 2, 3, 4, 5, 6}, 1, Metric::kEuclidean);
  const std::vector<std::int32_t> labels = {7, 8, 7, 8, 8, 7};
  const std::vector<float> queries = {0, 0};
  const std::vector<std::int32_t> query_labels = {7, 9};
  Sequential sequential;
  const Retrieval got = retrieval(index, labels, {queries, query_labels, {}}, {1, 2, 6, 7}, sequential);
  EXPECT_EQ(got.queries, 1U);
  EXPECT_EQ(got.lone, 1U);
  EXPECT_EQ(got.hit_rate_at.at(1), 1);
  EXPECT_EQ(got.precision_at.at(2), 0.5);
  EXPECT_DOUBLE_EQ(got.recall_at.at(2), 1.0 / 3);
  EXPECT_EQ(got.recall_at.at(6), 1);
  EXPECT_EQ(got.hit_rate_at.count(7), 0U);  // there are six rows
  EXPECT_DOUBLE_EQ(got.map_at_r, (1.0 + 2.0 / 3) / 3);
  EXPECT_DOUBLE_EQ(got.mean_average_precision, (1.0 + 2.0 / 3 + 3.0 / 6) / 3);
  const Value v = got.summary();
  EXPECT_DOUBLE_EQ(v.find("recall_at_2")->as_double(), 1.0 / 3);
  EXPECT_EQ(v.find("lone_queries")->as_int(), 1);
}

TEST(Retrieval, WithoutQueriesThatCountHasNoFigures) {
  const ExactIndex index({1, 2}, 1, Metric::kEuclidean);
  const std::vector<float> queries = {0};
  const std::vector<std::int32_t> labels = {0, 0}, query_labels = {1};
  Sequential sequential;
  for (const Retrieval& got : {retrieval(index, labels, {queries, query_labels, {}}, {1}, sequential),
                               retrieval(index, labels, {{}, {}, {}}, {1}, sequential)}) {
    EXPECT_EQ(got.queries, 0U);
    EXPECT_EQ(got.summary().find("map_at_r"), nullptr);
  }
}

TEST(Retrieval, HasTheSameBitsForAnyNumberOfThreads) {
  Random random(1);
  std::vector<float> rows(2000 * 6);
  for (float& v : rows) v = static_cast<float>(random.normal());
  std::vector<std::int32_t> labels(2000);
  for (std::size_t r = 0; r < 2000; ++r) labels[r] = static_cast<std::int32_t>(r % 5);
  const ExactIndex index(rows, 6, Metric::kEuclidean);
  std::vector<RowRange> self;
  for (std::uint32_t r = 0; r < 2000; ++r) self.push_back({r, r + 1});
  Sequential one;
  graft::testing::Threads four(4);
  EXPECT_EQ(retrieval(index, labels, {rows, labels, self}, {1, 5}, one).summary(),
            retrieval(index, labels, {rows, labels, self}, {1, 5}, four).summary());
}

/// Rows with keys of the test's choosing.
class Keyed final : public RowSet {
 public:
  explicit Keyed(std::vector<std::string> keys) : keys_(std::move(keys)) {}
  std::size_t rows() const override { return keys_.size(); }
  const Shape& shape() const override { return shape_; }
  DType dtype() const override { return DType::F32; }
  std::string_view key(std::size_t row) const override { return keys_[row]; }
  std::uint32_t view(std::size_t) const override { return 0; }
  Split split(std::size_t) const override { return Split::Train; }
  std::span<const std::int32_t> labels(std::size_t) const override { return {}; }
  void read(std::size_t, std::size_t, float*) const override {}
  void read_raw(std::size_t, std::size_t, void*) const override {}

 private:
  std::vector<std::string> keys_;
  Shape shape_ = {1};
};

TEST(Provenance, KnowTheRowsOfAnInput) {
  const Keyed set({"a", "b", "b", "b", "c", "d"});
  const Provenance provenance(set, {1, 2, 3, 5});  // a and c have no label
  EXPECT_EQ(provenance.position(3), 5U);
  EXPECT_EQ(provenance.widest(), 3U);
  const auto range = [](RowRange r) { return std::pair(r.begin, r.end); };
  EXPECT_EQ(range(provenance.of("b")), std::pair(0U, 3U));
  EXPECT_EQ(range(provenance.of("d")), std::pair(3U, 4U));
  EXPECT_EQ(range(provenance.of("a")), std::pair(0U, 0U));
  EXPECT_EQ(range(provenance.of_row(1)), std::pair(0U, 3U));
  EXPECT_EQ(range(provenance.of_row(3)), std::pair(3U, 4U));
  EXPECT_TRUE(Provenance().empty());
}

}  // namespace
}  // namespace graft::search
