#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <graft/predictor.h>

#include <learning/features.h>

namespace graft::embedding {

/// A map of feature vectors to other, mostly fewer, numbers: y = (x - mean) A, or a choice of the columns of
/// x. Outputs are ordered: the first m of them are the best m (but for a learnt metric, whose outputs belong
/// together). Immutable; any thread.
class Embedding {
 public:
  /// `directions` holds the columns of A, one per row: row-major dims x mean.size().
  static Embedding affine(std::string kind, std::vector<float> mean, std::vector<float> directions);
  /// y[j] = x[columns[j]] of `inputs` features.
  static Embedding choice(std::string kind, std::size_t inputs, std::vector<std::int32_t> columns);

  const std::string& kind() const { return kind_; }  ///< "pca", "lda", ...
  std::size_t inputs() const { return inputs_; }
  std::size_t dims() const { return dims_; }
  /// Of an affine map; empty for a choice of columns. Directions: row-major dims() x inputs().
  const std::vector<float>& mean() const { return mean_; }
  const std::vector<float>& directions() const { return directions_; }
  /// `in` is row-major count x inputs(), `out` count x dims(); they do not overlap.
  void apply(std::size_t count, const float* in, float* out) const;

  /// What fraction of the whole each output holds: of the variance (pca, select by variance), of the ratio of
  /// between-class to within-class variance (lda, select by fisher). Empty for a learnt metric.
  const std::vector<double>& shares() const { return shares_; }
  /// The sum of shares(): for pca the retained energy.
  std::optional<double> retained() const;
  /// Only the first `dims` outputs; all of them when there are fewer.
  Embedding truncated(std::size_t dims) const;

  /// Kind, dims, what is retained, and facts about the fit: for LearnerResult::summary.
  Value summary() const;
  void set_shares(std::vector<double> shares) { shares_ = std::move(shares); }
  /// Adds to summary().
  void note(std::string name, Value value) { notes_.emplace_back(std::move(name), std::move(value)); }

  /// Facts and tensors whose names begin with "embedding".
  void save(Bundle& bundle) const;
  /// Nothing when the bundle has no embedding. Throws Error naming what is missing or mis-shaped.
  static std::optional<Embedding> load(const Bundle& bundle);

 private:
  Embedding() = default;

  std::string kind_;
  std::size_t inputs_ = 0;
  std::size_t dims_ = 0;
  std::vector<float> mean_, directions_;
  std::vector<std::int32_t> columns_;  // not empty: a choice of columns
  std::vector<double> shares_;
  Value::Map notes_;
};

/// All rows, mapped: row-major rows.rows() x embedding.dims().
std::vector<float> embedded(const learning::FeatureRows& rows, const Embedding& embedding,
                            Parallel& parallel);

}  // namespace graft::embedding
