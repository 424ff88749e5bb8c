#include <search/vote.h>

#include <gmock/gmock.h>

#include <cmath>
#include <vector>

#include <graft/error.h>

namespace graft::search {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::FloatNear;

constexpr std::uint32_t kNoRow = ExactIndex::kNoRow;
const std::vector<std::int32_t> kLabels = {0, 1, 1, 0};

std::vector<float> shares(const std::vector<Neighbour>& neighbours, const Vote& how, Metric metric) {
  std::vector<float> out(2, -1.0F);
  vote(neighbours, how, metric, kLabels, out);
  return out;
}

auto are(double a, double b) {
  const auto sum = a + b;
  return ElementsAre(FloatNear(static_cast<float>(a / sum), 1e-6F),
                     FloatNear(static_cast<float>(b / sum), 1e-6F));
}

TEST(Vote, WeighsAsDeclared) {
  const std::vector<Neighbour> cosine = {{1, 0.9}, {0, 0.5}, {2, -0.2}, {3, -1}};
  EXPECT_THAT(shares(cosine, {3, VoteWeight::Exp, 0.3}, Metric::kCosine),
              are(std::exp(0.5 / 0.3), std::exp(0.9 / 0.3) + std::exp(-0.2 / 0.3)));
  EXPECT_THAT(shares(cosine, {4, VoteWeight::Uniform, 1}, Metric::kCosine), are(2, 2));
  EXPECT_THAT(shares(cosine, {2, VoteWeight::Distance, 1}, Metric::kCosine), are(1 / 0.50001, 1 / 0.10001));
  const std::vector<Neighbour> euclidean = {{1, -4}, {0, -9}};
  EXPECT_THAT(shares(euclidean, {2, VoteWeight::Exp, 2}, Metric::kEuclidean),
              are(std::exp(-4.5), std::exp(-2)));
  EXPECT_THAT(shares(euclidean, {2, VoteWeight::Distance, 1}, Metric::kEuclidean),
              are(1 / 3.00001, 1 / 2.00001));
}

TEST(Vote, StaysFiniteAtTheExtremes) {
  const std::vector<Neighbour> far = {{1, -1e76}, {0, -2e76}};
  const std::vector<Neighbour> same = {{1, 0}, {0, 0}};
  for (const auto weight : {VoteWeight::Exp, VoteWeight::Uniform, VoteWeight::Distance}) {
    for (const double t : {1e-4, 1e6}) {
      for (const auto& neighbours : {far, same}) {
        const auto got = shares(neighbours, {2, weight, t}, Metric::kEuclidean);
        EXPECT_NEAR(got[0] + got[1], 1, 1e-6);
      }
    }
  }
  const std::vector<Neighbour> rounded = {{1, 1.0000001}, {0, 1.0}};  // a cosine above 1
  EXPECT_THAT(shares(rounded, {2, VoteWeight::Distance, 1}, Metric::kCosine), are(1, 1));
}

TEST(Vote, PassesOverNeighboursThatAreNotThere) {
  const std::vector<Neighbour> one = {{3, 0.5}, {kNoRow, -1e300}};
  EXPECT_THAT(shares(one, {2, VoteWeight::Exp, 1}, Metric::kCosine), ElementsAre(1, 0));
  EXPECT_THAT(shares({{kNoRow, -1e300}}, {2, VoteWeight::Exp, 1}, Metric::kCosine), Each(0));
  EXPECT_THROW(vote_weight_from("linear"), Error);
}

}  // namespace
}  // namespace graft::search
