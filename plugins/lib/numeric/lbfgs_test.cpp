#include <numeric/lbfgs.h>

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <vector>

#include <graft/error.h>
#include <graft/random.h>

#include <numeric/softmax.h>

namespace graft::numeric {
namespace {

using ::testing::DoubleNear;
using ::testing::Pointwise;
using ::testing::StrEq;

TEST(Lbfgs, FindsTheMinimumOfAQuadratic) {
  // f = sum_i c_i (x_i - i)^2 / 2 with condition 1e6: minimum 0 at x_i = i.
  const std::vector<double> curvature = {1e-3, 1, 10, 100, 1000};
  const Objective f = [&](std::span<const double> x, std::span<double> g) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double e = x[i] - static_cast<double>(i);
      g[i] = curvature[i] * e;
      sum += 0.5 * curvature[i] * e * e;
    }
    return sum;
  };
  std::vector<double> x(5, 3.0);
  const LbfgsResult r = minimize(f, x, {.gradient_tolerance = 1e-10});
  EXPECT_EQ(r.stop, LbfgsStop::Converged);
  EXPECT_LE(r.gradient_max, 1e-10);
  EXPECT_THAT(x, Pointwise(DoubleNear(1e-6), std::vector<double>{0, 1, 2, 3, 4}));
  EXPECT_LT(r.iterations, 60);
}

TEST(Lbfgs, IsDoneInOneStepWithTheExactInverseHessian) {
  const Objective f = [](std::span<const double> x, std::span<double> g) {
    g[0] = 4 * x[0] - 8;
    g[1] = 100 * x[1];
    return 2 * x[0] * x[0] - 8 * x[0] + 50 * x[1] * x[1];
  };
  std::vector<double> x = {-3, 7};
  const LbfgsResult r = minimize(f, x, {}, [](std::span<double> v) { v[0] /= 4, v[1] /= 100; });
  EXPECT_EQ(r.iterations, 1);
  EXPECT_EQ(r.evaluations, 2);
  EXPECT_DOUBLE_EQ(r.objective, -8);
  EXPECT_DOUBLE_EQ(x[0], 2);
  EXPECT_NEAR(x[1], 0, 1e-15);
}

double rosenbrock(std::span<const double> x, std::span<double> g) {
  double sum = 0;
  std::fill(g.begin(), g.end(), 0.0);
  for (std::size_t i = 0; i + 1 < x.size(); ++i) {
    const double a = x[i + 1] - x[i] * x[i];
    const double b = 1 - x[i];
    sum += 100 * a * a + b * b;
    g[i] += -400 * a * x[i] - 2 * b;
    g[i + 1] += 200 * a;
  }
  return sum;
}

TEST(Lbfgs, FollowsTheRosenbrockValley) {
  for (const std::size_t n : {2, 10, 50}) {
    std::vector<double> x(n, -1.2);
    const LbfgsResult r = minimize(rosenbrock, x, {.gradient_tolerance = 1e-9});
    EXPECT_EQ(r.stop, LbfgsStop::Converged) << n;
    EXPECT_NEAR(r.objective, 0, 1e-15) << n;
    EXPECT_LT(r.evaluations, 600) << n;
  }
}

TEST(Lbfgs, StaysInsideTheDomain) {
  // x - log(x) is not finite for x <= 0; its minimum is 1 at x = 1. The first full step would leave the
  // domain.
  const Objective f = [](std::span<const double> x, std::span<double> g) {
    if (x[0] <= 0) return std::numeric_limits<double>::quiet_NaN();
    g[0] = 1 - 1 / x[0];
    return x[0] - std::log(x[0]);
  };
  std::vector<double> x = {1e-3};
  EXPECT_NEAR(minimize(f, x, {}).objective, 1, 1e-12);
  x = {50};
  EXPECT_NEAR(minimize(f, x, {}).objective, 1, 1e-12);
}

TEST(Lbfgs, StopsWhereRoundingHidesTheDecrease) {
  // A quadratic whose value, not gradient, is known to 1e-6 only.
  const Objective f = [](std::span<const double> x, std::span<double> g) {
    double sum = 1;
    for (std::size_t i = 0; i < x.size(); ++i) {
      g[i] = x[i] * static_cast<double>(i + 1);
      sum += 0.5 * g[i] * x[i];
    }
    return std::round(sum * 1e6) / 1e6;
  };
  std::vector<double> x(20, 1.0);
  const LbfgsResult r = minimize(f, x, {.gradient_tolerance = 0, .noise = 1e-6});
  EXPECT_EQ(r.stop, LbfgsStop::Precision);
  EXPECT_NEAR(r.objective, 1, 2e-6);
  EXPECT_LT(r.evaluations, 100);
}

TEST(Lbfgs, TheGapBoundHolds) {
  // f = |x|^2 / 2 + sum of cosh(x_i - 1), strongly convex with modulus 1; the minimum by Newton's method.
  const Objective f = [](std::span<const double> x, std::span<double> g) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      g[i] = x[i] + std::sinh(x[i] - 1);
      sum += 0.5 * x[i] * x[i] + std::cosh(x[i] - 1);
    }
    return sum;
  };
  double best = 0;
  for (int i = 0; i < 50; ++i) best -= (best + std::sinh(best - 1)) / (1 + std::cosh(best - 1));
  const double minimum = 3 * (0.5 * best * best + std::cosh(best - 1));
  for (const double gap : {1e-1, 1e-3, 1e-6}) {
    std::vector<double> x = {5, -2, 9};
    const LbfgsResult r = minimize(f, x, {.gradient_tolerance = 0, .gap_tolerance = gap});
    EXPECT_EQ(r.stop, LbfgsStop::Converged);
    EXPECT_LE(r.objective - minimum, gap * r.objective);
  }
}

TEST(Lbfgs, GivesUpAfterTheAllowedIterations) {
  std::vector<double> x(10, -1.2);
  const LbfgsResult r = minimize(rosenbrock, x, {.max_iterations = 5});
  EXPECT_EQ(r.stop, LbfgsStop::MaxIterations);
  EXPECT_EQ(r.iterations, 5);
  EXPECT_STREQ(to_string(r.stop), "max iterations");
}

TEST(Lbfgs, RefusesAStartThatIsNotFinite) {
  const Objective f = [](std::span<const double>, std::span<double> g) {
    g[0] = 1;
    return std::numeric_limits<double>::infinity();
  };
  std::vector<double> x = {0};
  try {
    minimize(f, x, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(
        e.what(),
        StrEq("the objective is not finite where the minimisation starts: the features are too large; "
              "scale them"));
  }
}

TEST(Softmax, IsStable) {
  std::vector<float> v = {1000, 1001, -1000};
  EXPECT_NEAR(softmax(v), 1001 + std::log1p(std::exp(-1.0)), 1e-4);
  EXPECT_NEAR(v[1], 1 / (1 + std::exp(-1.0)), 1e-6);
  EXPECT_EQ(v[2], 0);
  EXPECT_DOUBLE_EQ(softplus(800), 800);
  EXPECT_EQ(softplus(-800), 0);
  EXPECT_NEAR(softplus(0.3), std::log(1 + std::exp(0.3)), 1e-15);
  EXPECT_EQ(sigmoid(-800), 0);
  EXPECT_EQ(sigmoid(800), 1);
  EXPECT_NEAR(sigmoid(-1.5) + sigmoid(1.5), 1, 1e-15);
}

TEST(Argmax, TakesTheLowestOfEquals) {
  const std::vector<float> v = {1, 3, 3, 2};
  EXPECT_EQ(argmax(std::span<const float>(v)), 1U);
}

}  // namespace
}  // namespace graft::numeric
