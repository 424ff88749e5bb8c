#include <search/neighbours.h>

#include <gmock/gmock.h>

#include <graft/testing/stage_harness.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <memory>
#include <numeric>
#include <vector>

#include <graft/error.h>
#include <graft/random.h>

#include <learning/features.h>
#include <learning/testing/fixtures.h>

namespace graft::search {
namespace {

constexpr Metric kBoth[] = {Metric::kCosine, Metric::kEuclidean};

void to_length_1(std::vector<float>& rows, std::size_t dim) {
  learning::RowScaler(learning::RowScaler::Kind::L2).apply(rows.size() / dim, dim, rows.data());
}

std::vector<float> unit_rows(std::size_t n, std::size_t dim, Random& random) {
  std::vector<float> v(n * dim);
  for (float& e : v) e = static_cast<float>(random.uniform(-1, 1));
  to_length_1(v, dim);
  return v;
}

/// Similarity to every row that is not excluded, sorted; of equals the lower row first.
std::vector<Neighbour> brute_force(const ExactIndex& index, const float* query, RowRange excluded = {}) {
  std::vector<Neighbour> all;
  for (std::uint32_t r = 0; r < index.size(); ++r) {
    if (excluded.contains(r)) continue;
    all.push_back({r, index.metric().similarity(query, index.row(r), index.dim())});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Neighbour& a, const Neighbour& b) { return a.similarity > b.similarity; });
  return all;
}

void expect_brute_force(const ExactIndex& index, const std::vector<float>& queries, std::size_t k,
                        const std::vector<RowRange>& excluded, const std::string& where) {
  Sequential sequential;
  const auto found = index.search(queries, k, excluded, sequential);
  const std::size_t count = queries.size() / index.dim();
  const std::size_t want = std::min(k, index.size());
  ASSERT_EQ(found.size(), count * want);
  for (std::size_t q = 0; q < count; ++q) {
    const auto all =
        brute_force(index, queries.data() + q * index.dim(), excluded.empty() ? RowRange{} : excluded[q]);
    for (std::size_t i = 0; i < want; ++i) {
      const Neighbour& got = found[q * want + i];
      ASSERT_EQ(got.row, i < all.size() ? all[i].row : ExactIndex::kNoRow) << where << ", rank " << i;
      if (i < all.size()) {
        ASSERT_EQ(got.similarity, all[i].similarity) << where;
      }
    }
  }
}

TEST(ExactIndex, EqualsBruteForceForRandomSettings) {
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    const Metric metric = kBoth[round % 2];
    const std::size_t n = 1 + random.below(random.chance(0.1) ? 3000 : 300);
    const std::size_t dim = 1 + random.below(40);
    const std::size_t k = 1 + random.below(60);
    const std::size_t count = 1 + random.below(round % 20 < 2 ? 300 : 5);
    // Random features; a far common offset; few different values, so that ties are everywhere.
    const int kind = round / 2 % 3;
    const auto draw = [&] {
      if (kind == 2) return static_cast<float>(random.below(3)) - 1;
      return static_cast<float>(random.uniform(-1, 1) + (kind == 1 ? 100 : 0));
    };
    std::vector<float> rows(n * dim), queries(count * dim);
    for (float& v : rows) v = draw();
    for (float& v : queries) v = draw();
    // Some rows several times, some queries that are rows.
    for (std::size_t r = 0; r < n / 3; ++r)
      std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(random.below(n) * dim), dim,
                  rows.begin() + static_cast<std::ptrdiff_t>(random.below(n) * dim));
    std::copy_n(rows.begin(), dim, queries.begin());
    if (metric == Metric::kCosine) to_length_1(rows, dim), to_length_1(queries, dim);
    std::vector<RowRange> excluded;
    if (random.chance(0.5)) {
      for (std::size_t q = 0; q < count; ++q) {
        const auto begin = static_cast<std::uint32_t>(random.below(n));
        excluded.push_back({begin, begin + static_cast<std::uint32_t>(random.below(4))});
      }
    }
    expect_brute_force(ExactIndex(rows, dim, metric), queries, k, excluded, "round " + std::to_string(round));
  }
}

TEST(ExactIndex, LeavesOneOut) {
  Random random(3);
  for (const Metric metric : kBoth) {
    const std::vector<float> rows = unit_rows(700, 9, random);
    const ExactIndex index(rows, 9, metric);
    std::vector<RowRange> self;
    for (std::uint32_t r = 0; r < 700; ++r) self.push_back({r, r + 1});
    Sequential sequential;
    const auto with = index.search(rows, 6, {}, sequential);
    const auto without = index.search(rows, 5, self, sequential);
    for (std::uint32_t r = 0; r < 700; ++r) {
      EXPECT_EQ(with[r * 6].row, r);
      for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(without[r * 5 + i].row, with[r * 6 + i + 1].row);
    }
  }
}

TEST(ExactIndex, SaysWhenExclusionLeavesTooFewRows) {
  const ExactIndex index({0, 1, 2}, 1, Metric::kEuclidean);
  const std::vector<float> query = {0};
  const std::vector<RowRange> excluded = {{0, 2}};
  Sequential sequential;
  const auto found = index.search(query, 5, excluded, sequential);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].row, 2U);
  EXPECT_EQ(found[0].similarity, -4);
  EXPECT_EQ(found[1].row, ExactIndex::kNoRow);
  EXPECT_EQ(found[2].row, ExactIndex::kNoRow);
}

TEST(ExactIndex, TakesTheLowerRowOfEquals) {
  // Two different rows, each many times over: more equals than any margin could hold.
  const std::size_t n = 5000;
  const std::size_t dim = 24;
  for (const Metric metric : kBoth) {
    Random random(1);
    const std::vector<float> two = unit_rows(2, dim, random);
    std::vector<float> rows;
    for (std::size_t r = 0; r < n; ++r) {
      const auto from = two.begin() + static_cast<std::ptrdiff_t>(r % 7 == 3 ? dim : 0);
      rows.insert(rows.end(), from, from + static_cast<std::ptrdiff_t>(dim));
    }
    const ExactIndex index(rows, dim, metric);
    Sequential sequential;
    const auto found = index.search({two.data() + dim, dim}, 1000, {}, sequential);
    ASSERT_EQ(found.size(), 1000U);
    // 714 rows are equal to the query; then come the first of the others.
    for (std::uint32_t i = 0; i < 714; ++i) ASSERT_EQ(found[i].row, 3 + 7 * i);
    std::uint32_t other = 0;
    for (std::size_t i = 714; i < 1000; ++i, ++other) {
      if (other % 7 == 3) ++other;
      ASSERT_EQ(found[i].row, other);
    }
  }
}

TEST(ExactIndex, IsExactForHugeAndTinyFeatures) {
  Random random(5);
  for (const float scale : {1e-30F, 1e-18F, 1e18F, 1e30F}) {
    std::vector<float> rows(400 * 5), queries(3 * 5);
    for (float& v : rows) v = static_cast<float>(random.uniform(-1, 1)) * scale;
    for (float& v : queries) v = static_cast<float>(random.uniform(-1, 1)) * scale;
    expect_brute_force(ExactIndex(rows, 5, Metric::kEuclidean), queries, 7, {{1, 2}, {0, 9}, {}},
                       std::to_string(scale));
  }
  // One row far out must not hide the others.
  std::vector<float> rows(400 * 5);
  for (float& v : rows) v = static_cast<float>(random.uniform(-1, 1));
  rows[17] = 1e15F;
  expect_brute_force(ExactIndex(rows, 5, Metric::kEuclidean), {rows.begin(), rows.begin() + 50}, 7, {},
                     "far row");
}

TEST(ExactIndex, AZeroQueryIsAsFarFromEverything) {
  Random random(2);
  const ExactIndex index(unit_rows(500, 8, random), 8, Metric::kCosine);
  const std::vector<float> zero(8);
  Sequential sequential;
  const auto found = index.search(zero, 3, {}, sequential);
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(found[i].row, i);
    EXPECT_EQ(found[i].similarity, 0);
  }
}

TEST(ExactIndex, IsEmptyWithoutRowsOrQueries) {
  const std::vector<float> query = {1, 0};
  Sequential sequential;
  EXPECT_TRUE(ExactIndex({}, 2, Metric::kCosine).search(query, 5, {}, sequential).empty());
  EXPECT_TRUE(ExactIndex({1, 0}, 2, Metric::kCosine).search({}, 5, {}, sequential).empty());
}

TEST(ExactSimilarity, IsTheFormula) {
  Random random(4);
  for (std::size_t dim = 1; dim < 70; ++dim) {
    const std::vector<float> two = unit_rows(2, dim, random);
    double product = 0, distance = 0;
    for (std::size_t d = 0; d < dim; ++d) {
      product += static_cast<double>(two[d]) * two[dim + d];
      distance += std::pow(static_cast<double>(two[d]) - two[dim + d], 2);
    }
    EXPECT_NEAR(Metric::kCosine.similarity(two.data(), two.data() + dim, dim), product, 1e-14);
    EXPECT_NEAR(Metric::kEuclidean.similarity(two.data(), two.data() + dim, dim), -distance, 1e-14);
  }
}

TEST(Metric, HasNames) {
  EXPECT_EQ(Metric::from("euclidean"), Metric::kEuclidean);
  EXPECT_THROW(Metric::from("manhattan"), Error);
}

/// Rows of which many are equal, with a few that are huge, so that some queries are answered by brute force.
std::vector<float> troublesome_rows(std::size_t n, std::size_t dim, Random& random) {
  std::vector<float> rows(n * dim);
  const int kind = static_cast<int>(random.below(3));
  for (float& v : rows)
    v = kind == 0 ? static_cast<float>(random.below(3)) - 1 : static_cast<float>(random.uniform(-1, 1));
  if (kind == 2) rows[random.below(rows.size())] = 3e30F;
  return rows;
}

TEST(ExactIndex, AnswersTheSameWhereverTheRowsAre) {
  Random random(23);
  Sequential one;
  graft::testing::Threads eight(8);
  for (int round = 0; round < 60; ++round) {
    const Metric metric = kBoth[round % 2];
    const std::size_t dim = 1 + random.below(40), n = 1 + random.below(7000), k = 1 + random.below(60);
    std::vector<float> rows = troublesome_rows(n, dim, random), queries = troublesome_rows(9, dim, random);
    std::copy_n(rows.end() - static_cast<std::ptrdiff_t>(dim), dim, queries.begin());
    if (metric == Metric::kCosine) to_length_1(rows, dim), to_length_1(queries, dim);
    std::vector<RowRange> excluded;
    for (std::size_t q = 0; q < 9 && random.chance(0.5); ++q) {
      const auto begin = static_cast<std::uint32_t>(random.below(n));
      excluded.push_back({begin, begin + static_cast<std::uint32_t>(random.below(2000))});
    }
    excluded.resize(excluded.empty() ? 0 : 9);
    const auto tensor = std::make_shared<learning::CountedTensor>(rows, dim);
    const ExactIndex memory(rows, dim, metric), cached(tensor, metric, n * dim * sizeof(float), eight),
        read(tensor, metric, n * dim * sizeof(float) - 1, eight, 1);
    EXPECT_TRUE(cached.in_memory());
    EXPECT_FALSE(read.in_memory());
    expect_brute_force(memory, queries, k, excluded, "round " + std::to_string(round));
    const auto want = memory.search(queries, k, excluded, one);
    for (const ExactIndex* index : {&memory, &cached, &read})
      for (Parallel* parallel : std::initializer_list<Parallel*>{&one, &eight}) {
        const auto got = index->search(queries, k, excluded, *parallel);
        ASSERT_EQ(got.size(), want.size());
        for (std::size_t i = 0; i < got.size(); ++i) {
          ASSERT_EQ(got[i].row, want[i].row) << round;
          ASSERT_EQ(got[i].similarity, want[i].similarity) << round;
        }
      }
  }
}

TEST(ExactIndex, ReadsRowsOncePerSearch) {
  Random random(5);
  Sequential sequential;
  const std::size_t n = 5000;
  const auto rows = std::make_shared<learning::CountedTensor>(unit_rows(n, 4, random), 4);
  const ExactIndex index(rows, Metric::kCosine, 0, sequential, 1);
  EXPECT_EQ(rows->rows_read, n);
  index.search(unit_rows(3000, 4, random), 20, {}, sequential);
  EXPECT_EQ(rows->rows_read, 2 * n);
}

}  // namespace
}  // namespace graft::search
