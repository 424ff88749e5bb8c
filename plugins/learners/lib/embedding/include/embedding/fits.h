#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include <embedding/embedding.h>
#include <learning/features.h>

/// \file
/// Embeddings in closed form. All throw Error when the rows leave nothing to fit, and tell through `warn`
/// when fewer outputs can be had than were asked for. Rows are read block by block: they may be on disk.
namespace graft::embedding {

using Warn = std::function<void(const std::string&)>;

struct PcaOptions {
  std::optional<std::size_t> dims = {};  ///< Left out: all directions that carry variance.
  std::optional<double> energy = {};     ///< The fewest directions that keep this fraction of the variance.
  bool whiten = false;                   ///< Every output gets variance 1.
};

/// Principal components: eigenvectors of the covariance (divided by n) by falling eigenvalue, each with its
/// element of largest magnitude positive, as scikit-learn's PCA. Whitening divides by the square root of the
/// eigenvalue, which counts as at least 1e-5 of the largest one. With fewer rows than features the
/// eigenvectors come from the rows' Gram matrix. Where dims and energy are both given, the fewer directions
/// are taken.
Embedding fit_pca(const learning::FeatureRows& rows, const PcaOptions& options, const Warn& warn,
                  Parallel& parallel);

struct LdaOptions {
  std::optional<std::size_t> dims = {};  ///< At most classes - 1, which is also what is taken when left out.
  /// Covariance within classes: (1 - shrinkage) W + shrinkage trace(W) / d I.
  double shrinkage = 0.1;
};

/// Linear discriminant analysis (Fisher 1936, Rao 1948): directions v of the largest v'Bv / v'Wv, the ratio
/// of covariance between to covariance within classes, with v'Wv = 1; the sign as in fit_pca. The directions
/// and their lengths are those of scikit-learn's solver "eigen". When no class varies, W counts as the
/// identity, with a warning. Throws Error when W is singular, and when the rows show one class only.
Embedding fit_lda(const learning::FeatureRows& rows, std::size_t classes, const LdaOptions& options,
                  const Warn& warn, Parallel& parallel);

enum class SelectBy { Variance, Fisher };

/// The `dims` features of largest variance, or of largest ratio of variance between classes to variance
/// within classes (which counts as at least 1e-10 of the whole). Of equals the lower column.
Embedding select_features(const learning::FeatureRows& rows, std::size_t classes, SelectBy by,
                          std::size_t dims, const Warn& warn, Parallel& parallel);

}  // namespace graft::embedding
