#include <learning/learning.h>

#include <gmock/gmock.h>

#include <cmath>

namespace graft::learning {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Two directions, `angle` to either side of the first axis: 1 - cosine is 0 or 1 - cos(2 angle), on average
/// sin(angle)^2.
std::vector<float> beside_an_axis(double angle, float length = 1) {
  const auto x = static_cast<float>(std::cos(angle)), y = static_cast<float>(std::sin(angle));
  return {x, y, length * x, length * -y};
}

std::vector<std::string> warnings_of(const std::vector<float>& rows, std::size_t dim) {
  std::vector<std::string> out;
  warn_lost_cosines(
      rows.size() / dim, dim,
      [&](const std::vector<std::size_t>& positions) {
        std::vector<float> some;
        for (const std::size_t r : positions)
          some.insert(some.end(), rows.data() + r * dim, rows.data() + (r + 1) * dim);
        return some;
      },
      "features", "centre them", [&](const std::string& text) { out.push_back(text); });
  return out;
}

TEST(MeanCosineDistance, IsThatOfAllPairs) {
  EXPECT_DOUBLE_EQ(mean_cosine_distance(std::vector<float>{1, 0, 0, 1}, 2), 0.5);
  EXPECT_DOUBLE_EQ(mean_cosine_distance(std::vector<float>{1, 0, -1, 0}, 2), 1);
  EXPECT_NEAR(mean_cosine_distance(beside_an_axis(0.3), 2), std::pow(std::sin(0.3), 2), 1e-7);
  EXPECT_NEAR(mean_cosine_distance(beside_an_axis(1e-5), 2), 1e-10, 1e-15);
  const std::vector<float> rows = {1, 2, 3, -1, 0.5F, 2, 4, 4, 0, 1e-20F, 0, 3e-20F};
  double sum = 0;
  for (std::size_t a = 0; a < 4; ++a)
    for (std::size_t b = 0; b < 4; ++b) {
      double ab = 0, aa = 0, bb = 0;
      for (std::size_t d = 0; d < 3; ++d) {
        const double x = rows[3 * a + d];
        const double y = rows[3 * b + d];
        ab += x * y;
        aa += x * x;
        bb += y * y;
      }
      sum += 1 - ab / std::sqrt(aa * bb);
    }
  EXPECT_NEAR(mean_cosine_distance(rows, 3), sum / 16, 1e-12);
}

TEST(MeanCosineDistance, GoesByDirectionsAlone) {
  EXPECT_NEAR(mean_cosine_distance(beside_an_axis(0.3, 1e6F), 2),
              mean_cosine_distance(beside_an_axis(0.3), 2), 1e-7);
  EXPECT_DOUBLE_EQ(mean_cosine_distance(std::vector<float>{1, 0, 0, 0, 0, 1}, 2), 0.5);  // a row of zeros
  EXPECT_EQ(mean_cosine_distance(std::vector<float>{1, 0, 3, 0, 1e5F, 0}, 2), 0);
  // Nothing to tell apart.
  EXPECT_EQ(mean_cosine_distance(std::vector<float>{1, 2}, 2), 1);
  EXPECT_EQ(mean_cosine_distance(std::vector<float>{1, 2, 0, 0}, 2), 1);
  EXPECT_EQ(mean_cosine_distance({}, 2), 1);
}

TEST(LostCosines, AreWarnedAboutBelowTheBoundAlone) {
  const double bound = std::asin(std::sqrt(kLeastCosineDistance));
  EXPECT_THAT(warnings_of(beside_an_axis(bound * 1.0001), 2), IsEmpty());
  EXPECT_THAT(warnings_of(beside_an_axis(bound * 1.0001, 1000), 2), IsEmpty());
  const std::string text =
      "table 'features': 1 - cosine of its train rows is {} on average, expected at least 1.2e-05: float32 "
      "rounds a cosine by up to 1.2e-07, so which rows are near is partly a matter of rounding; the rows "
      "have "
      "a large part in common: centre them";
  const auto with = [&](const std::string& number) {
    std::string out = text;
    return out.replace(out.find("{}"), 2, number);
  };
  EXPECT_THAT(warnings_of(beside_an_axis(bound * 0.9999), 2), ElementsAre(with("1.2e-05")));
  EXPECT_THAT(warnings_of(beside_an_axis(1e-4, 1000), 2), ElementsAre(with("1.0e-08")));
  EXPECT_THAT(warnings_of({0, 1, 0, 2}, 2), ElementsAre(with("0.0e+00")));
  EXPECT_THAT(warnings_of({1, 2}, 2), IsEmpty());
}

TEST(LostCosines, AreLookedForInAThousandRows) {
  // Every second row has another direction: of 2,000, evenly spaced, only the even ones are seen.
  std::vector<float> rows;
  for (int r = 0; r < 2000; ++r)
    rows.insert(rows.end(), {r % 2 == 0 ? 1.0F : 0.0F, r % 2 == 0 ? 0.0F : 1.0F});
  EXPECT_EQ(warnings_of(rows, 2).size(), 1U);
  rows.resize(2 * 999);
  EXPECT_THAT(warnings_of(rows, 2), IsEmpty());
}

}  // namespace
}  // namespace graft::learning
