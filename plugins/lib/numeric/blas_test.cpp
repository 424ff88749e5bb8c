#include <numeric/blas.h>

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <graft/random.h>

namespace graft::numeric {
namespace {

using ::testing::Each;
using ::testing::FloatNear;
using ::testing::Pointwise;

std::vector<float> random_values(std::size_t n, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> v(n);
  for (float& e : v) e = static_cast<float>(random.uniform(-1, 1));
  return v;
}

struct Size {
  std::size_t m, n, k;
};

/// The wrappers take another routine when one side is a vector: every such case against the plain sums.
class Products : public ::testing::TestWithParam<Size> {};

TEST_P(Products, EqualThePlainSums) {
  const auto [m, n, k] = GetParam();
  const auto a = random_values(m * k, 1);
  const auto b = random_values(n * k, 2);
  std::vector<float> nn(m * n), nt(m * n), tn(m * n), want_nn(m * n), want_nt(m * n), want_tn(m * n);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      for (std::size_t l = 0; l < k; ++l) {
        want_nn[i * n + j] += a[i * k + l] * b[l * n + j];
        want_nt[i * n + j] += a[i * k + l] * b[j * k + l];
        want_tn[i * n + j] += a[l * m + i] * b[l * n + j];
      }
    }
  }
  multiply_nn({a.data(), m, k}, {b.data(), k, n}, {nn.data(), m, n});
  multiply_nt({a.data(), m, k}, {b.data(), n, k}, {nt.data(), m, n});
  multiply_tn({a.data(), k, m}, {b.data(), k, n}, {tn.data(), m, n});
  EXPECT_THAT(nn, Pointwise(FloatNear(1e-5F), want_nn));
  EXPECT_THAT(nt, Pointwise(FloatNear(1e-5F), want_nt));
  EXPECT_THAT(tn, Pointwise(FloatNear(1e-5F), want_tn));

  const std::vector<double> a2(a.begin(), a.end()), b2(b.begin(), b.end());
  std::vector<double> nn2(m * n), nt2(m * n), tn2(m * n);
  multiply_nn({a2.data(), m, k}, {b2.data(), k, n}, {nn2.data(), m, n});
  multiply_nt({a2.data(), m, k}, {b2.data(), n, k}, {nt2.data(), m, n});
  multiply_tn({a2.data(), k, m}, {b2.data(), k, n}, {tn2.data(), m, n});
  for (std::size_t i = 0; i < m * n; ++i) {
    EXPECT_NEAR(nn2[i], want_nn[i], 1e-5);
    EXPECT_NEAR(nt2[i], want_nt[i], 1e-5);
    EXPECT_NEAR(tn2[i], want_tn[i], 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Products,
                         ::testing::Values(Size{1, 1, 1}, Size{7, 1, 5}, Size{1, 7, 5}, Size{5, 4, 1},
                                           Size{17, 9, 33}));

TEST(Gram, FillsTheLowerTriangle) {
  const auto a = random_values(20 * 3, 3);
  std::vector<float> c(9, -7);
  gram_lower({a.data(), 20, 3}, {c.data(), 3, 3});
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      float sum = 0;
      for (std::size_t r = 0; r < 20; ++r) sum += a[r * 3 + i] * a[r * 3 + j];
      EXPECT_NEAR(c[i * 3 + j], j <= i ? sum : -7, 1e-5) << i << "," << j;
    }
  }
}

TEST(Gram, IsAddedToWhatIsThere) {
  const auto a = random_values(20 * 3, 3);
  const std::vector<double> wide(a.begin(), a.end());
  std::vector<double> c(9, -7);
  add_gram_lower({wide.data(), 20, 3}, {c.data(), 3, 3});
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      double sum = -7;
      for (std::size_t r = 0; r < 20; ++r) sum += wide[r * 3 + i] * wide[r * 3 + j];
      EXPECT_NEAR(c[i * 3 + j], j <= i ? sum : -7, 1e-12) << i << "," << j;
    }
  }
}

TEST(SymmetricEigen, PutsAMatrixTogetherAgain) {
  for (const std::size_t n : {1, 2, 7, 60}) {
    Random random(n);
    std::vector<double> a(n * n);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j <= i; ++j) a[i * n + j] = random.uniform(-1, 1);
      for (std::size_t j = i + 1; j < n; ++j) a[i * n + j] = 1e30;  // not looked at
    }
    std::vector<double> v = a;
    std::vector<double> values(n);
    symmetric_eigen({v.data(), n, n}, values);
    EXPECT_TRUE(std::is_sorted(values.begin(), values.end()));
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        double sum = 0, product = 0;
        for (std::size_t e = 0; e < n; ++e) {
          sum += values[e] * v[e * n + i] * v[e * n + j];
          product += v[i * n + e] * v[j * n + e];
        }
        EXPECT_NEAR(sum, a[i * n + j], 1e-12);
        EXPECT_NEAR(product, i == j ? 1 : 0, 1e-12);
      }
    }
  }
}

TEST(Cholesky, SolvesSeveralRightHandSides) {
  // L = [2 0; 1 3], so a = [4 2; 2 10]; the element above the diagonal is not looked at.
  std::vector<double> a = {4, 99, 2, 10};
  ASSERT_TRUE(cholesky({a.data(), 2, 2}));
  EXPECT_DOUBLE_EQ(a[0], 2);
  EXPECT_DOUBLE_EQ(a[2], 1);
  EXPECT_DOUBLE_EQ(a[3], 3);
  std::vector<double> rows = {4 * 1 + 2 * 2, 2 * 1 + 10 * 2, 4 * -1 + 2 * 0.5, 2 * -1 + 10 * 0.5};
  cholesky_solve({a.data(), 2, 2}, {rows.data(), 2, 2});
  EXPECT_NEAR(rows[0], 1, 1e-14);
  EXPECT_NEAR(rows[1], 2, 1e-14);
  EXPECT_NEAR(rows[2], -1, 1e-14);
  EXPECT_NEAR(rows[3], 0.5, 1e-14);
}

TEST(Cholesky, SaysWhenAMatrixIsNotPositiveDefinite) {
  std::vector<double> a = {1, 0, 2, 1};
  EXPECT_FALSE(cholesky({a.data(), 2, 2}));
}

}  // namespace
}  // namespace graft::numeric
