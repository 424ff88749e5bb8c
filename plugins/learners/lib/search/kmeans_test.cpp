#include <search/kmeans.h>

#include <gmock/gmock.h>

#include <graft/testing/stage_harness.h>

#include <algorithm>
#include <cmath>
#include <set>

#include <graft/random.h>

#include <learning/features.h>

namespace graft::search {
namespace {

std::vector<float> random_rows(std::size_t n, std::size_t dim, std::uint64_t seed, Metric metric) {
  Random random(seed);
  std::vector<float> v(n * dim);
  for (float& e : v) e = static_cast<float>(random.normal());
  if (metric == Metric::kCosine) learning::RowScaler(learning::RowScaler::Kind::L2).apply(n, dim, v.data());
  return v;
}

TEST(KMeans, FindsClustersThatAreThere) {
  Random random(2);
  std::vector<float> rows;
  for (int i = 0; i < 400; ++i) {
    rows.push_back(static_cast<float>(10.0 * (i % 4) + 0.1 * random.normal()));
    rows.push_back(static_cast<float>(-20.0 * (i % 2) + 0.1 * random.normal()));
  }
  Sequential sequential;
  const Clusters found = k_means(rows, 2, 4, Metric::kEuclidean, 1, sequential);
  ASSERT_EQ(found.count(2), 4U);
  for (std::size_t r = 0; r < 400; ++r) EXPECT_EQ(found.member[r], found.member[r % 4]);
  EXPECT_EQ(std::set<std::uint32_t>(found.member.begin(), found.member.end()).size(), 4U);
  EXPECT_NEAR(found.spread, 0.02, 0.005);
}

TEST(KMeans, EndsWhereNothingMoves) {
  Sequential sequential;
  for (const Metric metric : {Metric::kCosine, Metric::kEuclidean}) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const std::size_t k = 1 + seed % 9;
      const std::vector<float> rows = random_rows(300, 4, seed, metric);
      const Clusters found = k_means(rows, 4, k, metric, seed, sequential, 1000);
      ASSERT_EQ(found.count(4), k);
      EXPECT_LT(found.iterations, 1000);
      std::vector<double> sums(k * 4), sizes(k);
      for (std::size_t r = 0; r < 300; ++r) {
        const auto similarity = [&](std::size_t c) {
          return metric.similarity(rows.data() + r * 4, found.centres.data() + c * 4, 4);
        };
        for (std::size_t c = 0; c < k; ++c) EXPECT_GE(similarity(found.member[r]), similarity(c));
        ++sizes[found.member[r]];
        for (std::size_t d = 0; d < 4; ++d) sums[found.member[r] * 4 + d] += rows[r * 4 + d];
      }
      for (std::size_t c = 0; c < k; ++c) {
        ASSERT_GT(sizes[c], 0);
        double length = 0;
        for (std::size_t d = 0; d < 4; ++d) length += std::pow(sums[c * 4 + d], 2);
        const double by = metric == Metric::kCosine ? std::sqrt(length) : sizes[c];
        for (std::size_t d = 0; d < 4; ++d) EXPECT_NEAR(found.centres[c * 4 + d], sums[c * 4 + d] / by, 1e-6);
      }
    }
  }
}

TEST(KMeans, IsNoWorseWithMoreCentres) {
  Sequential sequential;
  const std::vector<float> rows = random_rows(500, 3, 9, Metric::kEuclidean);
  double before = 1e300;
  for (const std::size_t k : {1, 4, 16, 64, 500}) {
    const double spread = k_means(rows, 3, k, Metric::kEuclidean, 7, sequential).spread;
    EXPECT_LT(spread, before);
    before = spread;
  }
  EXPECT_EQ(before, 0);  // every row is a centre
}

TEST(KMeans, MakesNoMoreCentresThanThereAreDifferentRows) {
  Sequential sequential;
  for (const Metric metric : {Metric::kCosine, Metric::kEuclidean}) {
    std::vector<float> rows;
    for (int i = 0; i < 30; ++i)
      rows.insert(rows.end(), {i % 3 == 0 ? 1.0F : 0.0F, i % 3 == 1 ? 1.0F : 0.0F});
    EXPECT_EQ(k_means(rows, 2, 10, metric, 1, sequential).count(2), 3U);
    EXPECT_EQ(k_means({rows.data(), 2}, 2, 10, metric, 1, sequential).count(2), 1U);
  }
}

TEST(KMeans, HasTheSameBitsForAnyNumberOfThreadsAndFollowsTheSeed) {
  Sequential one;
  graft::testing::Threads four(4);
  const std::vector<float> rows = random_rows(5000, 8, 3, Metric::kEuclidean);
  const Clusters a = k_means(rows, 8, 20, Metric::kEuclidean, 5, one);
  const Clusters b = k_means(rows, 8, 20, Metric::kEuclidean, 5, four);
  EXPECT_EQ(a.centres, b.centres);
  EXPECT_EQ(a.member, b.member);
  EXPECT_NE(k_means(rows, 8, 20, Metric::kEuclidean, 6, one).centres, a.centres);
}

}  // namespace
}  // namespace graft::search
