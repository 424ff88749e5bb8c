#include <search/search_index.h>

#include <gmock/gmock.h>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <functional>

#include <graft/error.h>
#include <graft/random.h>

#include <learning/features.h>

namespace graft::search {
namespace {

using graft::testing::error_of;
using ::testing::HasSubstr;
using ::testing::StrEq;

Params given(const std::string& json) {
  std::vector<ParamFault> faults;
  const Value value = resolve({IndexChoice::spec()}, Value::from_json(json), faults);
  EXPECT_TRUE(faults.empty());
  return Params(value);
}

/// Rows around 30 places, of length 1.
std::vector<float> clustered(std::size_t n, std::size_t dim, std::uint64_t seed) {
  Random places(1), random(seed);
  std::vector<float> centres(30 * dim), v(n * dim);
  for (float& e : centres) e = static_cast<float>(places.normal());
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t d = 0; d < dim; ++d)
      v[r * dim + d] = centres[r % 30 * dim + d] + 0.5F * static_cast<float>(random.normal());
  }
  learning::RowScaler(learning::RowScaler::Kind::L2).apply(n, dim, v.data());
  return v;
}

TEST(IndexChoice, IsExactUnlessToldOtherwise) {
  EXPECT_EQ(IndexChoice::from(given("{}")), IndexChoice{});
  EXPECT_STREQ(IndexChoice::from(given("{}")).name(), "exact");
}

TEST(SearchIndex, ExactIsTheExactIndex) {
  Sequential sequential;
  const ExactIndex exact(clustered(200, 6, 2), 6, Metric::kCosine);
  const SearchIndex index(exact, {}, 1, sequential);
  const std::vector<float> queries = clustered(10, 6, 3);
  const auto a = index.search(queries, 5, {}, sequential), b = exact.search(queries, 5, {}, sequential);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].row, b[i].row);
  EXPECT_EQ(index.recall(queries, 5, {}, sequential), 1);
}

#if GRAFT_HAS_FAISS

std::vector<std::uint32_t> rows_of(const std::vector<Neighbour>& found) {
  std::vector<std::uint32_t> out;
  for (const Neighbour& n : found) out.push_back(n.row);
  return out;
}

const char* const kApproximate[] = {
    R"({"index": "ivf"})", R"({"index": "hnsw"})", R"({"index": {"ivf": {"nlist": 50, "nprobe": 3}}})",
    R"({"index": {"hnsw": {"m": 8, "ef_construction": 20, "ef_search": 20}}})"};

TEST(SearchIndex, FindsMostOfTheNeighboursAndOrdersThemExactly) {
  Sequential sequential;
  for (const Metric metric : {Metric::kCosine, Metric::kEuclidean}) {
    const std::vector<float> queries = clustered(100, 16, 3);
    for (const char* json : kApproximate) {
      const SearchIndex index(ExactIndex(clustered(3000, 16, 2), 16, metric), IndexChoice::from(given(json)),
                              1, sequential);
      const auto found = index.search(queries, 10, {}, sequential);
      ASSERT_EQ(found.size(), 1000U);
      for (std::size_t i = 0; i < found.size(); ++i) {
        ASSERT_EQ(found[i].similarity,
                  metric.similarity(queries.data() + i / 10 * 16, index.exact().row(found[i].row), 16));
        if (i % 10 > 0) {
          EXPECT_GE(found[i - 1].similarity, found[i].similarity);
        }
      }
      const double recall = index.recall(queries, 10, {}, sequential);
      EXPECT_GT(recall, 0.8) << json;
      EXPECT_LE(recall, 1) << json;
    }
    // As many probes as lists, or candidates as rows, leave nothing out.
    for (const char* json : {R"({"index": {"ivf": {"nlist": 20, "nprobe": 20}}})",
                             R"({"index": {"hnsw": {"ef_construction": 200, "ef_search": 500}}})"}) {
      const SearchIndex index(ExactIndex(clustered(500, 16, 2), 16, metric), IndexChoice::from(given(json)),
                              1, sequential);
      EXPECT_GT(index.recall(queries, 10, {}, sequential), 0.999) << json;
    }
  }
}

TEST(SearchIndex, HasTheSameBitsForAnyNumberOfThreadsAndBatches) {
  Sequential one;
  graft::testing::Threads four(4);
  const ExactIndex rows(clustered(3000, 16, 2), 16, Metric::kCosine);
  const std::vector<float> queries = clustered(60, 16, 3);
  for (const char* json : kApproximate) {
    const SearchIndex a(rows, IndexChoice::from(given(json)), 1, one);
    const SearchIndex b(rows, IndexChoice::from(given(json)), 1, four);
    const auto want = rows_of(a.search(queries, 5, {}, one));
    std::vector<std::uint32_t> single(want.size());
    four.for_each(60, [&](std::size_t q) {
      const auto found = rows_of(b.search({queries.data() + q * 16, 16}, 5, {}, one));
      std::copy(found.begin(), found.end(), single.begin() + static_cast<std::ptrdiff_t>(q * 5));
    });
    EXPECT_EQ(single, want) << json;
  }
}

TEST(SearchIndex, AnswersExactlyWhereTooFewAreFound) {
  Sequential sequential;
  const ExactIndex rows(clustered(300, 8, 2), 8, Metric::kCosine);
  const std::vector<float> queries = clustered(9, 8, 3);
  const SearchIndex index(
      rows, IndexChoice::from(given(R"({"index": {"ivf": {"nlist": 100, "nprobe": 1}}})")), 1, sequential);
  EXPECT_EQ(rows_of(index.search(queries, 150, {}, sequential)),
            rows_of(rows.search(queries, 150, {}, sequential)));
  EXPECT_EQ(rows_of(index.search(queries, 1000, {}, sequential)),
            rows_of(rows.search(queries, 1000, {}, sequential)));
}

TEST(SearchIndex, LeavesExcludedRowsOut) {
  Sequential sequential;
  const ExactIndex rows(clustered(1000, 8, 2), 8, Metric::kCosine);
  std::vector<RowRange> self;
  for (std::uint32_t r = 0; r < 50; ++r) self.push_back({r, r + 1});
  for (const char* json : kApproximate) {
    const SearchIndex index(rows, IndexChoice::from(given(json)), 1, sequential);
    const auto found = index.search({rows.rows().data(), 50 * 8}, 4, self, sequential);
    ASSERT_EQ(found.size(), 200U);
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NE(found[i].row, i / 4);
  }
}

TEST(SearchIndex, FindsAsBeforeAfterSavingAndLoading) {
  Sequential sequential;
  const ExactIndex rows(clustered(1000, 8, 2), 8, Metric::kEuclidean);
  const std::vector<float> queries = clustered(50, 8, 3);
  for (const char* json : kApproximate) {
    const SearchIndex index(rows, IndexChoice::from(given(json)), 1, sequential);
    Bundle bundle;
    index.save(bundle);
    bundle.facts = Value::from_json(bundle.facts.to_json());
    EXPECT_EQ(rows_of(SearchIndex::load(bundle, rows.reader(), Metric::kEuclidean, 0)
                          .search(queries, 7, {}, sequential)),
              rows_of(index.search(queries, 7, {}, sequential)))
        << json;
  }
  Bundle damaged;
  damaged.facts["index"] = "lsh";
  EXPECT_THAT(
      error_of([&] { SearchIndex::load(damaged, rows.reader(), Metric::kEuclidean, 0); }),
      StrEq(
          "'index' of the bundle is 'lsh': expected exact, ivf or hnsw; the bundle is damaged or of another "
          "learner; train the model again"));
}

TEST(SearchIndex, WorksWithFewAndEqualRows) {
  Sequential sequential;
  for (const char* json : kApproximate) {
    for (const std::size_t n : {1, 2, 40}) {
      const SearchIndex index(ExactIndex(std::vector<float>(n * 3, 0.5F), 3, Metric::kEuclidean),
                              IndexChoice::from(given(json)), 1, sequential);
      const std::vector<float> query = {1, 2, 3};
      const auto found = index.search(query, 5, {}, sequential);
      EXPECT_EQ(found.size(), std::min<std::size_t>(n, 5));
      for (const Neighbour& neighbour : found) EXPECT_LT(neighbour.row, n);
    }
  }
}

#else

TEST(SearchIndex, SaysThatItWasBuiltWithoutFaiss) {
  EXPECT_THAT(
      error_of([] { IndexChoice::from(given(R"({"index": "hnsw"})")); }),
      HasSubstr("index: hnsw needs FAISS, which this build of graft is without: install libfaiss-dev"));
}

#endif

}  // namespace
}  // namespace graft::search
