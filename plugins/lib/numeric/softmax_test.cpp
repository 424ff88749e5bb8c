#include <numeric/softmax.h>

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace graft::numeric {
namespace {

TEST(ExpAll, IsTheExponentialOfValuesUpToZero) {
  std::vector<float> x;
  for (int i = 0; i < 87000; ++i) x.push_back(-0.001F * static_cast<float>(i));
  for (const std::size_t count :
       {x.size(), std::size_t{1}, std::size_t{17}}) {  // vectors and what is left over
    std::vector<float> y(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(count));
    exp_all(y);
    for (std::size_t i = 0; i < count; ++i) {
      const double want = std::exp(static_cast<double>(x[i]));
      ASSERT_NEAR(y[i], want, 2e-7 * want) << x[i];
    }
    EXPECT_EQ(y[0], 1.0F);
  }
}

TEST(ExpAll, KeepsNanAndStaysAboveZero) {
  std::vector<float> x = {-100, -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()};
  exp_all(x);
  EXPECT_NEAR(x[0], 1.6e-38F, 1e-39F);
  EXPECT_NEAR(x[1], 1.6e-38F, 1e-39F);
  EXPECT_TRUE(std::isnan(x[2]));
}

}  // namespace
}  // namespace graft::numeric
