#pragma once

#include <cstddef>
#include <vector>

#include <learning/features.h>

namespace graft::embedding {

/// Means of rows, of all and by class, in double.
struct Means {
  std::size_t dim = 0;
  std::size_t rows = 0;
  std::vector<double> mean;        ///< dim
  std::vector<double> class_mean;  ///< Row-major classes x dim; zeros for a class without rows.
  std::vector<double> class_rows;  ///< Rows of each class.

  std::size_t classes_present() const;
  /// sqrt(n_c / n) (mean_c - mean), one class per row, for the classes that have rows. The Gram matrix B'B of
  /// it is the covariance between classes.
  std::vector<double> between() const;
  /// What rounding may leave of the variance of a constant column (the bound is scikit-learn's).
  double variance_floor(std::size_t column) const;
  /// The same of all columns together.
  double variance_floor() const;
};

/// One pass over the rows.
Means means_of(const learning::FeatureRows& rows, std::size_t classes, Parallel& parallel);

/// Covariance of all rows (divided by n), lower triangle of a dim x dim matrix; one pass.
std::vector<double> covariance_of(const learning::FeatureRows& rows, const Means& means, Parallel& parallel);

/// Variance of every column (divided by n); one pass.
std::vector<double> variances_of(const learning::FeatureRows& rows, const Means& means, Parallel& parallel);

}  // namespace graft::embedding
