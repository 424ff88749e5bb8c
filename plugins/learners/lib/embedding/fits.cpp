#include <embedding/fits.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <graft/error.h>

#include <numeric/blas.h>
#include "moments.h"

namespace graft::embedding {
namespace {

constexpr double kWhiteningFloor = 1e-5;  // of the largest eigenvalue
constexpr double kWithinFloor = 1e-10;    // of a column's variance
constexpr double kRatioFloor = 1e-12;     // of the largest ratio: what is below is rounding

/// Directions, one per row (of length 1, unless said otherwise), with what each weighs, by falling weight.
struct Directions {
  std::vector<double> vectors;
  std::vector<double> weights;
};

void fix_sign(double* v, std::size_t dim) {
  const double* largest =
      std::max_element(v, v + dim, [](double a, double b) { return std::abs(a) < std::abs(b); });
  if (*largest >= 0) return;
  for (std::size_t d = 0; d < dim; ++d) v[d] = -v[d];
}

std::vector<float> narrowed(const std::vector<double>& v) {
  return {v.begin(), v.end()};
}

/// `kind`, and `why` no more are available, for the warning.
std::size_t at_most(std::optional<std::size_t> wanted, std::size_t available, const char* kind,
                    const std::string& why, const Warn& warn) {
  if (!wanted) return available;
  if (*wanted > available) {
    warn(fmt::format("embedding {}: {} outputs were wanted, but {}: {} are taken", kind, *wanted, why,
                     available));
  }
  return std::min(*wanted, available);
}

/// Eigenvectors of the covariance, from the covariance itself.
Directions by_covariance(const learning::FeatureRows& rows, const Means& means, Parallel& parallel) {
  const std::size_t dim = rows.dim();
  std::vector<double> covariance = covariance_of(rows, means, parallel);
  std::vector<double> values(dim);
  numeric::symmetric_eigen({covariance.data(), dim, dim}, values);
  Directions out{std::vector<double>(dim * dim), std::vector<double>(dim)};
  for (std::size_t i = 0; i < dim; ++i) {
    const std::size_t from = dim - 1 - i;
    out.weights[i] = std::max(values[from], 0.0);
    std::copy_n(covariance.begin() + static_cast<std::ptrdiff_t>(from * dim), dim,
                out.vectors.begin() + static_cast<std::ptrdiff_t>(i * dim));
  }
  return out;
}

/// The same with fewer rows than features: X X' / n has the same eigenvalues, and X'u is an eigenvector of
/// the covariance where u is one of X X'.
Directions by_gram(const learning::FeatureRows& rows, const Means& means, Parallel& parallel) {
  const std::size_t n = rows.rows();
  const std::size_t dim = rows.dim();
  std::vector<double> x(n * dim);
  parallel.for_each(rows.blocks(), [&](std::size_t b) {
    std::vector<float> scratch;
    const float* block = rows.block(b, scratch);
    double* to = x.data() + rows.begin(b) * dim;
    for (std::size_t i = 0; i < rows.count(b) * dim; ++i) to[i] = block[i] - means.mean[i % dim];
  });
  std::vector<double> gram(n * n);
  parallel.for_each(rows.blocks(), [&](std::size_t b) {
    numeric::multiply_nt({x.data() + rows.begin(b) * dim, rows.count(b), dim}, {x.data(), n, dim},
                         {gram.data() + rows.begin(b) * n, rows.count(b), n});
  });
  for (double& g : gram) g /= static_cast<double>(n);
  std::vector<double> values(n);
  numeric::symmetric_eigen({gram.data(), n, n}, values);
  // The last one is the mean's, which was taken away.
  const std::size_t keep = n - 1;
  std::vector<double> u(keep * n);
  Directions out{std::vector<double>(keep * dim), std::vector<double>(keep)};
  for (std::size_t i = 0; i < keep; ++i) {
    const std::size_t from = n - 1 - i;
    out.weights[i] = std::max(values[from], 0.0);
    std::copy_n(gram.begin() + static_cast<std::ptrdiff_t>(from * n), n,
                u.begin() + static_cast<std::ptrdiff_t>(i * n));
  }
  numeric::multiply_nn({u.data(), keep, n}, {x.data(), n, dim}, {out.vectors.data(), keep, dim});
  for (std::size_t i = 0; i < keep; ++i) {
    double* v = out.vectors.data() + i * dim;
    const double length = std::sqrt(std::inner_product(v, v + dim, v, 0.0));
    for (std::size_t d = 0; d < dim; ++d) v[d] = length > 0 ? v[d] / length : 0;
  }
  return out;
}

/// The order of columns by falling score; ties: the lower one first.
std::vector<std::int32_t> by_falling(const std::vector<double>& scores) {
  std::vector<std::int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
  return order;
}

void expect_two_classes(const Means& means, const char* what) {
  if (means.classes_present() >= 2) return;
  throw Error(
      fmt::format("embedding {}: the train rows show {} class: expected at least 2 to tell apart; check the "
                  "labels and the splits, or use pca",
                  what, means.classes_present()));
}

/// Sums up the variances of a covariance's columns.
double trace(const std::vector<double>& matrix, std::size_t dim) {
  double sum = 0;
  for (std::size_t d = 0; d < dim; ++d) sum += matrix[d * dim + d];
  return sum;
}

[[noreturn]] void no_variance(const char* what, std::size_t rows) {
  throw Error(
      fmt::format("embedding {}: the {} train rows are all equal: expected rows that differ; check the "
                  "backbone and its input, or leave the embedding out",
                  what, rows));
}

}  // namespace

Embedding fit_pca(const learning::FeatureRows& rows, const PcaOptions& options, const Warn& warn,
                  Parallel& parallel) {
  const std::size_t n = rows.rows();
  const std::size_t dim = rows.dim();
  if (n < 2) throw Error(fmt::format("embedding pca: {} labelled train row: expected at least 2", n));
  const Means means = means_of(
      rows, static_cast<std::size_t>(*std::max_element(rows.labels().begin(), rows.labels().end())) + 1,
      parallel);
  Directions all = n < dim ? by_gram(rows, means, parallel) : by_covariance(rows, means, parallel);
  const double total = std::accumulate(all.weights.begin(), all.weights.end(), 0.0);
  if (!(total > means.variance_floor())) no_variance("pca", n);
  const double rounding = static_cast<double>(std::max(n, dim)) * std::numeric_limits<double>::epsilon();
  const auto carry = static_cast<std::size_t>(std::count_if(
      all.weights.begin(), all.weights.end(), [&](double w) { return w > rounding * all.weights[0]; }));
  const std::size_t available = std::min(carry, n - 1);

  std::size_t dims = at_most(options.dims, available, "pca",
                             fmt::format("the {} train rows vary in {} directions", n, available), warn);
  if (options.energy) {
    double sum = 0;
    std::size_t enough = 0;
    // Rounding must not ask for directions beyond the last.
    while (enough < available && sum < *options.energy * total * (1 - 1e-12)) sum += all.weights[enough++];
    dims = std::min(dims, enough);
  }
  all.vectors.resize(dims * dim);
  std::vector<double> shares(dims);
  for (std::size_t i = 0; i < dims; ++i) {
    double* v = all.vectors.data() + i * dim;
    fix_sign(v, dim);
    shares[i] = all.weights[i] / total;
    if (!options.whiten) continue;
    const double factor = 1 / std::sqrt(std::max(all.weights[i], kWhiteningFloor * all.weights[0]));
    for (std::size_t d = 0; d < dim; ++d) v[d] *= factor;
  }
  Embedding out = Embedding::affine("pca", narrowed(means.mean), narrowed(all.vectors));
  out.set_shares(std::move(shares));
  out.note("whiten", options.whiten);
  return out;
}

Embedding fit_lda(const learning::FeatureRows& rows, std::size_t classes, const LdaOptions& options,
                  const Warn& warn, Parallel& parallel) {
  const std::size_t dim = rows.dim();
  const Means means = means_of(rows, classes, parallel);
  expect_two_classes(means, "lda");
  const std::vector<double> between = means.between();
  const std::size_t shown = means.classes_present();

  std::vector<double> within = covariance_of(rows, means, parallel);
  const double total = trace(within, dim);
  for (std::size_t c = 0; c < shown; ++c) {
    const double* b = between.data() + c * dim;
    for (std::size_t i = 0; i < dim; ++i) {
      for (std::size_t j = 0; j <= i; ++j) within[i * dim + j] -= b[i] * b[j];
    }
  }
  if (!(total > means.variance_floor())) no_variance("lda", rows.rows());
  const double spread = trace(within, dim);
  if (!(spread > kRatioFloor * total)) {
    warn(
        "embedding lda: no class varies, so its spread is zero: the directions between the classes are "
        "taken");
    std::fill(within.begin(), within.end(), 0.0);
    for (std::size_t d = 0; d < dim; ++d) within[d * dim + d] = 1;
  } else {
    for (double& w : within) w *= 1 - options.shrinkage;
    for (std::size_t d = 0; d < dim; ++d)
      within[d * dim + d] += options.shrinkage * spread / static_cast<double>(dim);
  }
  const std::string singular = fmt::format(
      "embedding lda: the covariance within classes of {} features, taken from {} rows, has no inverse: set "
      "shrinkage above {}, or use pca",
      dim, rows.rows(), options.shrinkage);
  if (options.shrinkage == 0 && rows.rows() - shown < dim) throw Error(singular);
  if (!numeric::cholesky({within.data(), dim, dim})) throw Error(singular);

  // B W^-1 B' is small and has the eigenvalues of W^-1 (B'B); its eigenvectors u give v = W^-1 B'u.
  std::vector<double> solved = between;
  numeric::cholesky_solve({within.data(), dim, dim}, {solved.data(), shown, dim});
  std::vector<double> ratio(shown * shown);
  numeric::multiply_nt({solved.data(), shown, dim}, {between.data(), shown, dim},
                       {ratio.data(), shown, shown});
  std::vector<double> values(shown);
  numeric::symmetric_eigen({ratio.data(), shown, shown}, values);
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  const auto carry = static_cast<std::size_t>(
      std::count_if(values.begin(), values.end(), [&](double v) { return v > kRatioFloor * values.back(); }));
  if (!(values.back() > 0)) {
    throw Error("embedding lda: the classes have equal means: no direction separates them");
  }
  const std::size_t available = std::min(carry, shown - 1);
  const std::size_t dims =
      at_most(options.dims, available, "lda",
              fmt::format("the means of {} classes differ in {} directions", shown, available), warn);

  std::vector<double> u(dims * shown), directions(dims * dim), shares(dims);
  for (std::size_t i = 0; i < dims; ++i) {
    const std::size_t from = shown - 1 - i;
    shares[i] = values[from] / sum;
    for (std::size_t c = 0; c < shown; ++c)
      u[i * shown + c] = ratio[from * shown + c] / std::sqrt(values[from]);
  }
  numeric::multiply_nn({u.data(), dims, shown}, {solved.data(), shown, dim}, {directions.data(), dims, dim});
  for (std::size_t i = 0; i < dims; ++i) fix_sign(directions.data() + i * dim, dim);
  Embedding out = Embedding::affine("lda", narrowed(means.mean), narrowed(directions));
  out.set_shares(std::move(shares));
  out.note("shrinkage", options.shrinkage);
  return out;
}

Embedding select_features(const learning::FeatureRows& rows, std::size_t classes, SelectBy by,
                          std::size_t dims, const Warn& warn, Parallel& parallel) {
  const std::size_t dim = rows.dim();
  const Means means = means_of(rows, classes, parallel);
  std::vector<double> scores = variances_of(rows, means, parallel);
  if (!(std::accumulate(scores.begin(), scores.end(), 0.0) > means.variance_floor()))
    no_variance("select", rows.rows());
  if (by == SelectBy::Fisher) {
    expect_two_classes(means, "select by fisher");
    const std::vector<double> between = means.between();
    std::vector<double> apart(dim);
    for (std::size_t i = 0; i < between.size(); ++i) apart[i % dim] += between[i] * between[i];
    for (std::size_t d = 0; d < dim; ++d) {
      const double within = std::max(scores[d] - apart[d], kWithinFloor * scores[d]);
      scores[d] = scores[d] > means.variance_floor(d) ? apart[d] / within : 0;
    }
  }
  const double total = std::accumulate(scores.begin(), scores.end(), 0.0);
  const std::size_t take = at_most(dims, dim, "select", fmt::format("a row has {} features", dim), warn);
  std::vector<std::int32_t> order = by_falling(scores);
  order.resize(take);
  std::vector<double> shares(take);
  for (std::size_t i = 0; i < take; ++i)
    shares[i] = total > 0 ? scores[static_cast<std::size_t>(order[i])] / total : 0;
  Embedding out = Embedding::choice("select", dim, std::move(order));
  out.set_shares(std::move(shares));
  out.note("by", by == SelectBy::Variance ? "variance" : "fisher");
  return out;
}

}  // namespace graft::embedding
