#include "moments.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include <numeric/blas.h>
#include <numeric/parts.h>

namespace graft::embedding {
namespace {

/// Adds up `size` doubles over all blocks: within parts and over them in a fixed order.
std::vector<double> sum_over_blocks(
    const learning::FeatureRows& rows, std::size_t size, Parallel& parallel,
    const std::function<void(std::size_t block, const float* x, double* sums)>& add) {
  const numeric::Parts parts(rows.blocks(), size * sizeof(double));
  std::vector<std::vector<double>> partial(parts.count());
  parallel.for_each(parts.count(), [&](std::size_t p) {
    std::vector<float> scratch;
    partial[p].assign(size, 0);
    for (std::size_t b = parts.begin(p); b < parts.begin(p + 1); ++b)
      add(b, rows.block(b, scratch), partial[p].data());
  });
  std::vector<double> sums = std::move(partial[0]);
  for (std::size_t p = 1; p < parts.count(); ++p) {
    for (std::size_t i = 0; i < size; ++i) sums[i] += partial[p][i];
  }
  return sums;
}

}  // namespace

std::size_t Means::classes_present() const {
  return static_cast<std::size_t>(
      std::count_if(class_rows.begin(), class_rows.end(), [](double n) { return n > 0; }));
}

std::vector<double> Means::between() const {
  std::vector<double> out;
  out.reserve(classes_present() * dim);
  for (std::size_t c = 0; c < class_rows.size(); ++c) {
    if (class_rows[c] == 0) continue;
    const double root = std::sqrt(class_rows[c] / static_cast<double>(rows));
    for (std::size_t d = 0; d < dim; ++d) out.push_back(root * (class_mean[c * dim + d] - mean[d]));
  }
  return out;
}

double Means::variance_floor(std::size_t column) const {
  const double e = static_cast<double>(rows) * std::numeric_limits<double>::epsilon() * mean[column];
  return e * e;
}

double Means::variance_floor() const {
  double sum = 0;
  for (std::size_t d = 0; d < dim; ++d) sum += variance_floor(d);
  return sum;
}

Means means_of(const learning::FeatureRows& rows, std::size_t classes, Parallel& parallel) {
  Means means;
  means.dim = rows.dim();
  means.rows = rows.rows();
  means.class_rows.assign(classes, 0);
  for (const std::int32_t label : rows.labels()) ++means.class_rows[static_cast<std::size_t>(label)];
  means.class_mean =
      sum_over_blocks(rows, classes * rows.dim(), parallel, [&](std::size_t b, const float* x, double* sums) {
        for (std::size_t r = 0; r < rows.count(b); ++r) {
          double* to = sums + static_cast<std::size_t>(rows.labels()[rows.begin(b) + r]) * rows.dim();
          for (std::size_t d = 0; d < rows.dim(); ++d) to[d] += x[r * rows.dim() + d];
        }
      });
  means.mean.assign(rows.dim(), 0);
  for (std::size_t c = 0; c < classes; ++c) {
    double* mean = means.class_mean.data() + c * rows.dim();
    for (std::size_t d = 0; d < rows.dim(); ++d) means.mean[d] += mean[d];
    for (std::size_t d = 0; d < rows.dim(); ++d) mean[d] /= std::max(means.class_rows[c], 1.0);
  }
  for (double& m : means.mean) m /= static_cast<double>(std::max<std::size_t>(rows.rows(), 1));
  return means;
}

std::vector<double> covariance_of(const learning::FeatureRows& rows, const Means& means, Parallel& parallel) {
  const std::size_t dim = rows.dim();
  std::vector<double> sums =
      sum_over_blocks(rows, dim * dim, parallel, [&](std::size_t b, const float* x, double* out) {
        std::vector<double> centred(rows.count(b) * dim);
        for (std::size_t r = 0; r < rows.count(b); ++r) {
          for (std::size_t d = 0; d < dim; ++d) centred[r * dim + d] = x[r * dim + d] - means.mean[d];
        }
        numeric::add_gram_lower({centred.data(), rows.count(b), dim}, {out, dim, dim});
      });
  for (double& s : sums) s /= static_cast<double>(rows.rows());
  return sums;
}

std::vector<double> variances_of(const learning::FeatureRows& rows, const Means& means, Parallel& parallel) {
  const std::size_t dim = rows.dim();
  std::vector<double> sums =
      sum_over_blocks(rows, dim, parallel, [&](std::size_t b, const float* x, double* out) {
        for (std::size_t r = 0; r < rows.count(b); ++r) {
          for (std::size_t d = 0; d < dim; ++d) {
            const double e = x[r * dim + d] - means.mean[d];
            out[d] += e * e;
          }
        }
      });
  for (double& s : sums) s /= static_cast<double>(rows.rows());
  return sums;
}

}  // namespace graft::embedding
