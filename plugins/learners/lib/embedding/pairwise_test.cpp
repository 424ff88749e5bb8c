#include "pairwise.h"

#include <gmock/gmock.h>

#include <graft/testing/stage_harness.h>

#include <cmath>
#include <functional>
#include <vector>

#include <graft/random.h>

namespace graft::embedding {
namespace {

using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::Pointwise;

struct Cloud {
  std::vector<double> values;
  std::size_t dim;
  std::vector<std::int32_t> labels;
  Points points() const { return {values, dim, labels}; }
};

Cloud random_cloud(std::size_t n, std::size_t dim, std::size_t classes, std::uint64_t seed) {
  Random random(seed);
  Cloud cloud{{}, dim, {}};
  for (std::size_t i = 0; i < n; ++i) {
    cloud.labels.push_back(static_cast<std::int32_t>(random.below(classes)));
    for (std::size_t d = 0; d < dim; ++d) cloud.values.push_back(random.normal());
  }
  return cloud;
}

using Loss = std::function<double(const Points&, std::span<double>, Parallel&)>;
const Loss kNca = nca;
const Loss kContrastive = [](const Points& p, std::span<double> g, Parallel& parallel) {
  return supervised_contrastive(p, 0.5, g, parallel);
};

/// The points of testdata/make_fixtures.py.
Cloud fixture() {
  Cloud cloud{{}, 3, {}};
  for (int i = 0; i < 12; ++i) {
    cloud.labels.push_back(i % 3);
    for (int j = 0; j < 3; ++j) {
      const double v = std::sin(1.7 * (i + 1) * (j + 2)) * (j + 1) + 3 + (j == i % 3 ? 2.0 : 0.0);
      cloud.values.push_back(0.3 * (static_cast<double>(static_cast<float>(v)) - 3));
    }
  }
  return cloud;
}

std::vector<double> rows_0_and_5(const std::vector<double>& v) {
  std::vector<double> out(v.begin(), v.begin() + 3);
  out.insert(out.end(), v.begin() + 15, v.begin() + 18);
  return out;
}

TEST(Nca, HasTheValueAndGradientOfPyTorch) {
  const Cloud cloud = fixture();
  std::vector<double> gradient(36);
  Sequential sequential;
  EXPECT_NEAR(nca(cloud.points(), gradient, sequential), 0.72423297, 1e-8);
  const std::vector<double> want = {-0.03125622, -0.01234677, 0.04236877,
                                    0.03590678,  0.01040803,  -0.03061390};
  EXPECT_THAT(rows_0_and_5(gradient), Pointwise(DoubleNear(1e-8), want));
}

TEST(Contrastive, HasTheValueAndGradientOfPyTorch) {
  const Cloud cloud = fixture();
  std::vector<double> gradient(36);
  Sequential sequential;
  EXPECT_NEAR(supervised_contrastive(cloud.points(), 0.5, gradient, sequential), 2.84744164, 1e-8);
  const std::vector<double> want = {-0.20067143, -0.03545521, 0.19186768,
                                    0.09839992,  -0.03605888, -0.07111291};
  EXPECT_THAT(rows_0_and_5(gradient), Pointwise(DoubleNear(1e-8), want));
}

TEST(PairwiseLosses, HaveTheGradientOfTheirDifferences) {
  Sequential sequential;
  for (const Loss& loss : {kNca, kContrastive}) {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      const std::size_t dim = 1 + seed % 4;
      Cloud cloud = random_cloud(5 + 17 * seed, dim, 1 + seed % 5, seed);
      std::vector<double> gradient(cloud.values.size()), ignored(cloud.values.size());
      loss(cloud.points(), gradient, sequential);
      Random random(seed + 100);
      for (int check = 0; check < 20; ++check) {
        const std::size_t at = random.below(cloud.values.size());
        const double here = cloud.values[at];
        constexpr double kStep = 1e-5;
        cloud.values[at] = here + kStep;
        const double above = loss(cloud.points(), ignored, sequential);
        cloud.values[at] = here - kStep;
        const double below = loss(cloud.points(), ignored, sequential);
        cloud.values[at] = here;
        EXPECT_NEAR(gradient[at], (above - below) / (2 * kStep), 1e-8) << "seed " << seed;
      }
    }
  }
}

TEST(PairwiseLosses, HaveTheSameBitsForAnyNumberOfThreads) {
  const Cloud cloud = random_cloud(700, 9, 4, 1);
  Sequential one;
  graft::testing::Threads four(4);
  for (const Loss& loss : {kNca, kContrastive}) {
    std::vector<double> a(cloud.values.size()), b(cloud.values.size());
    EXPECT_EQ(loss(cloud.points(), a, one), loss(cloud.points(), b, four));
    EXPECT_EQ(a, b);
  }
}

TEST(PairwiseLosses, CopeWithLonePointsEqualPointsAndZeros) {
  Sequential sequential;
  for (const Loss& loss : {kNca, kContrastive}) {
    for (const std::vector<std::int32_t>& labels :
         {std::vector<std::int32_t>{0, 1, 2}, std::vector<std::int32_t>{0, 0, 0}}) {
      const Cloud zeros{std::vector<double>(6), 2, labels};
      const Cloud far{{1e150, 0, -1e150, 0, 0, 1e150}, 2, labels};
      for (const Cloud* cloud : {&zeros, &far}) {
        std::vector<double> gradient(6);
        EXPECT_TRUE(std::isfinite(loss(cloud->points(), gradient, sequential)));
        for (const double g : gradient) EXPECT_TRUE(std::isfinite(g));
      }
    }
    const Cloud one{{1, 2}, 2, {0}};
    std::vector<double> gradient(2);
    loss(one.points(), gradient, sequential);
    EXPECT_THAT(gradient, Each(0));
  }
}

}  // namespace
}  // namespace graft::embedding
