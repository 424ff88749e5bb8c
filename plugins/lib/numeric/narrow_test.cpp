#include <numeric/narrow.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <graft/random.h>

namespace graft::numeric {
namespace {

TEST(NarrowProducts, EqualSumsInDoubleForAnyShape) {
  Random random(1);
  for (int trial = 0; trial < 300; ++trial) {
    const std::size_t n = 1 + random.below(40), d = 1 + random.below(200), k = 1 + random.below(kNarrow);
    const std::size_t gap = random.below(3);  // between the end of a row and the next
    const auto matrix = [&](std::size_t rows, std::size_t cols) {
      std::vector<float> m(rows * (cols + gap));
      for (float& v : m) v = static_cast<float>(random.normal());
      return m;
    };
    const std::vector<float> x = matrix(n, d), w = matrix(k, d), r = matrix(n, k), before = matrix(k, d);
    std::vector<float> c = matrix(n, k), sum = before;
    narrow_nt({x.data(), n, d, d + gap}, {w.data(), k, d, d + gap}, {c.data(), n, k, k + gap});
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < k; ++j) {
        double want = 0;
        for (std::size_t e = 0; e < d; ++e) want += double{x[i * (d + gap) + e]} * w[j * (d + gap) + e];
        ASSERT_NEAR(c[i * (k + gap) + j], want, 1e-4) << n << " " << d << " " << k;
      }
    }
    add_narrow_tn({r.data(), n, k, k + gap}, {x.data(), n, d, d + gap}, {sum.data(), k, d, d + gap});
    for (std::size_t j = 0; j < k; ++j) {
      for (std::size_t e = 0; e < d + gap; ++e) {
        double want = before[j * (d + gap) + e];
        for (std::size_t i = 0; i < n && e < d; ++i)
          want += double{r[i * (k + gap) + j]} * x[i * (d + gap) + e];
        ASSERT_NEAR(sum[j * (d + gap) + e], want, 1e-4) << n << " " << d << " " << k;
      }
    }
  }
}

TEST(NarrowProducts, AnElementDependsOnItsRowsAlone) {
  Random random(2);
  constexpr std::size_t kRows = 70;
  for (const std::size_t dim : {37, 768})
    for (const std::size_t k : {1, 2, 3, 7, 32, 100}) {
      std::vector<float> x(kRows * dim), w(k * dim), all(kRows * k);
      for (float& v : x) v = static_cast<float>(random.normal());
      for (float& v : w) v = static_cast<float>(random.normal());
      narrow_nt({x.data(), kRows, dim}, {w.data(), k, dim}, {all.data(), kRows, k});
      for (std::size_t first = 0; first < kRows; ++first)
        for (std::size_t count = 1; first + count <= kRows; count += 6) {
          std::vector<float> some(count * k);
          narrow_nt({x.data() + first * dim, count, dim}, {w.data(), k, dim}, {some.data(), count, k});
          ASSERT_TRUE(std::equal(some.begin(), some.end(), all.data() + first * k))
              << dim << " x " << k << ", rows " << first << " to " << first + count;
        }
    }
}

}  // namespace
}  // namespace graft::numeric
