#include <search/metric.h>

#include <fmt/format.h>

#include <array>

#include <graft/error.h>

#include "two_versions.h"

namespace graft::search {
namespace {

constexpr std::size_t kLanes = 16;  // independent sums, so that loops fill the vector units

/// Sum of term(d) over d < dim, in double.
template <typename Term>
GRAFT_INLINE double sum_of(std::size_t dim, Term term) {
  std::array<double, kLanes> sums{};
  std::size_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    for (std::size_t i = 0; i < kLanes; ++i) sums[i] += term(d + i);
  }
  for (std::size_t i = 0; d < dim; ++d, ++i) sums[i] += term(d);
  double sum = 0;
  for (const double s : sums) sum += s;
  return sum;
}

GRAFT_INLINE double product_of(const float* a, const float* b, std::size_t dim) {
  return sum_of(dim, [=](std::size_t d) { return static_cast<double>(a[d]) * b[d]; });
}

GRAFT_INLINE double distance_of(const float* a, const float* b, std::size_t dim) {
  return sum_of(dim, [=](std::size_t d) {
    const double e = static_cast<double>(a[d]) - b[d];
    return e * e;
  });
}

struct Kernels {
  double (*product)(const float* a, const float* b, std::size_t dim);
  double (*squared_distance)(const float* a, const float* b, std::size_t dim);
};

GRAFT_AVX2 double product_avx2(const float* a, const float* b, std::size_t dim) {
  return product_of(a, b, dim);
}
GRAFT_AVX2 double distance_avx2(const float* a, const float* b, std::size_t dim) {
  return distance_of(a, b, dim);
}
double product_plain(const float* a, const float* b, std::size_t dim) {
  return product_of(a, b, dim);
}
double distance_plain(const float* a, const float* b, std::size_t dim) {
  return distance_of(a, b, dim);
}

const Kernels kKernels =
    cpu_isa() >= CpuIsa::Avx2 ? Kernels{product_avx2, distance_avx2} : Kernels{product_plain, distance_plain};

}  // namespace

double scalar_product(const float* a, const float* b, std::size_t dim) {
  return kKernels.product(a, b, dim);
}

const std::vector<std::string>& Metric::names() {
  static const std::vector<std::string> kAll = {"cosine", "euclidean"};
  return kAll;
}

Metric Metric::from(std::string_view name) {
  const auto found = std::find(names().begin(), names().end(), name);
  if (found == names().end()) throw Error(fmt::format("metric '{}': expected cosine or euclidean", name));
  return Metric(static_cast<Kind>(found - names().begin()));
}

double Metric::similarity(const float* a, const float* b, std::size_t dim) const {
  return by_direction() ? kKernels.product(a, b, dim) : -kKernels.squared_distance(a, b, dim);
}

}  // namespace graft::search
