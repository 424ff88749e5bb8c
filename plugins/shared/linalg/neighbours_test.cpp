#include "linalg/neighbours.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include <graft/random.h>

#include "linalg/features.h"

namespace graft::linalg {
namespace {

std::vector<float> unit_rows(std::size_t n, std::size_t dim, Random& random) {
  std::vector<float> v(n * dim);
  for (float& e : v) e = static_cast<float>(random.uniform(-1, 1));
  RowScaler(RowScaler::Kind::L2).apply(n, dim, v.data());
  return v;
}

/// Every similarity in double, sorted; of equals the lower row first.
std::vector<std::uint32_t> brute_force(const std::vector<float>& rows, const float* query, std::size_t dim) {
  const std::size_t n = rows.size() / dim;
  std::vector<double> similarity(n);
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t d = 0; d < dim; ++d) similarity[r] += static_cast<double>(rows[r * dim + d]) * query[d];
  }
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return similarity[a] > similarity[b]; });
  return order;
}

TEST(CosineIndex, EqualsBruteForceForRandomSettings) {
  Random random(7);
  for (int round = 0; round < 200; ++round) {
    const std::size_t n = 1 + random.below(random.chance(0.1) ? 3000 : 300);
    const std::size_t dim = 1 + random.below(40);
    const std::size_t k = 1 + random.below(60);
    const std::size_t queries = 1 + random.below(round % 20 == 0 ? 300 : 5);
    const std::vector<float> rows = unit_rows(n, dim, random);
    const std::vector<float> query = unit_rows(queries, dim, random);
    const CosineIndex index(rows, dim);
    const auto found = index.search(query, k);
    const std::size_t want = std::min(k, n);
    ASSERT_EQ(found.size(), queries * want);
    for (std::size_t q = 0; q < queries; ++q) {
      if (dim == 1) continue;  // all similarities are 1 or -1: covered by the test of ties
      const auto order = brute_force(rows, query.data() + q * dim, dim);
      for (std::size_t i = 0; i < want; ++i)
        ASSERT_EQ(found[q * want + i].row, order[i]) << "round " << round;
    }
  }
}

TEST(CosineIndex, TakesTheLowerRowOfEquals) {
  // Two different rows, each many times over: more equals than any margin could hold.
  const std::size_t n = 5000;
  const std::size_t dim = 24;
  Random random(1);
  const std::vector<float> two = unit_rows(2, dim, random);
  std::vector<float> rows;
  for (std::size_t r = 0; r < n; ++r) {
    const auto from = two.begin() + static_cast<std::ptrdiff_t>(r % 7 == 3 ? dim : 0);
    rows.insert(rows.end(), from, from + static_cast<std::ptrdiff_t>(dim));
  }
  const CosineIndex index(rows, dim);
  const auto found = index.search({two.data() + dim, dim}, 1000);
  ASSERT_EQ(found.size(), 1000U);
  // 714 rows are equal to the query; then come the first of the others.
  for (std::uint32_t i = 0; i < 714; ++i) ASSERT_EQ(found[i].row, 3 + 7 * i);
  std::uint32_t other = 0;
  for (std::size_t i = 714; i < 1000; ++i, ++other) {
    if (other % 7 == 3) ++other;
    ASSERT_EQ(found[i].row, other);
  }
}

TEST(CosineIndex, AZeroQueryIsAsFarFromEverything) {
  Random random(2);
  const CosineIndex index(unit_rows(500, 8, random), 8);
  const std::vector<float> zero(8);
  const auto found = index.search(zero, 3);
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(found[i].row, i);
    EXPECT_EQ(found[i].similarity, 0);
  }
}

TEST(CosineIndex, IsEmptyWithoutRowsOrQueries) {
  const std::vector<float> query = {1, 0};
  EXPECT_TRUE(CosineIndex({}, 2).search(query, 5).empty());
  EXPECT_TRUE(CosineIndex({1, 0}, 2).search({}, 5).empty());
}

}  // namespace
}  // namespace graft::linalg
