#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <graft/predictor.h>
#include <graft/table.h>

#include <metrics/score.h>

namespace graft::learning {

/// Rows that are worked on together: about 1 MiB of them, so that a block stays in a core's cache between two
/// uses. Depends on the width alone, never on threads, so that sums taken block by block are the same
/// everywhere.
std::size_t rows_per_block(std::size_t dim);

/// What is done to every feature vector before a learner sees it.
class RowScaler {
 public:
  enum class Kind { None, L2, Standard };
  static const std::vector<std::string>& names();  // "none", "l2", "standard"
  static Kind kind_from(std::string_view name);

  RowScaler() = default;
  /// None, or L2: a row is divided by its Euclidean length; a zero row stays zero.
  explicit RowScaler(Kind kind) : kind_(kind) {}
  /// Standard: (x - mean) * factor, element by element.
  RowScaler(std::vector<float> mean, std::vector<float> factor)
      : kind_(Kind::Standard), mean_(std::move(mean)), factor_(std::move(factor)) {}

  void apply(std::size_t count, std::size_t dim, float* rows) const;
  Kind kind() const { return kind_; }
  const char* name() const { return names()[static_cast<std::size_t>(kind_)].c_str(); }
  const std::vector<float>& mean() const { return mean_; }
  const std::vector<float>& factor() const { return factor_; }

  /// Into `scale` (a fact) and, for Standard, `scale.mean` and `scale.factor` (tensors).
  void save(Bundle& bundle) const;
  /// Throws Error naming what is missing or mis-shaped.
  static RowScaler load(const Bundle& bundle, std::size_t dim);

 private:
  Kind kind_ = Kind::None;
  std::vector<float> mean_, factor_;
};

/// Reads rows [begin, end) of a table block by block on all threads. `body` gets a block's first row, its
/// number of rows and the features (row-major, its own copy). Throws Error that names the row when a feature
/// is not finite.
void read_blocks(const RowSet& set, std::size_t begin, std::size_t end, Parallel& parallel,
                 const std::function<void(std::size_t first, std::size_t count, float* rows)>& body);

/// The labelled rows of a table, cut into blocks: held in memory when they take up at most `cache_bytes`,
/// read from the table at every use otherwise (slower, but a table may then be larger than memory). Immutable
/// after `scale`; `block` may be called from any thread. `set` must outlive this.
class FeatureRows {
 public:
  /// Throws Error naming the row for a feature that is not finite, a label outside [0, classes) and, unless
  /// in the mode Multi, a row with several labels or with none of the classes. Unlabelled rows are left
  /// out; the run has warned of them.
  FeatureRows(const RowSet& set, std::size_t classes, std::size_t cache_bytes, Parallel& parallel,
              metrics::LabelMode mode = metrics::LabelMode::Single);

  std::size_t rows() const { return positions_.size(); }
  std::size_t dim() const { return dim_; }
  bool cached() const { return !values_.empty(); }
  metrics::LabelMode mode() const { return mode_; }
  /// One of every row; where rows may have several, all of them, row by row.
  const std::vector<std::int32_t>& labels() const { return labels_; }
  /// Labels of one row, ascending, each once.
  std::span<const std::int32_t> labels_of(std::size_t row) const {
    if (label_ends_.empty()) return {labels_.data() + row, 1};
    const std::size_t begin = row == 0 ? 0 : label_ends_[row - 1];
    return {labels_.data() + begin, label_ends_[row] - begin};
  }
  /// Position in the RowSet of every row.
  const std::vector<std::size_t>& positions() const { return positions_; }
  std::string_view key(std::size_t row) const { return set_->key(positions_[row]); }

  std::size_t blocks() const { return (rows() + block_rows_ - 1) / block_rows_; }
  std::size_t begin(std::size_t block) const { return block * block_rows_; }
  std::size_t count(std::size_t block) const { return std::min(block_rows_, rows() - begin(block)); }
  /// Features of a block, row-major count x dim, scaled. `scratch` is used when the rows are not in memory.
  const float* block(std::size_t block, std::vector<float>& scratch) const;
  /// Features of rows [first, first + count), scaled.
  void read(std::size_t first, std::size_t count, float* out) const;

  /// Column means and 1 / standard deviations (population form, as scikit-learn's StandardScaler; factor 1
  /// for a constant column), taken block by block (Chan, Golub & LeVeque 1983).
  RowScaler standard_scaler(Parallel& parallel) const;
  /// Sets the scaling. Once only.
  void scale(RowScaler scaler, Parallel& parallel);
  /// Hands over the features that are in memory, row-major rows() x dim().
  std::vector<float> release() && { return std::move(values_); }

 private:
  void read_from_table(std::size_t first, std::size_t count, float* out) const;

  const RowSet* set_;
  metrics::LabelMode mode_;
  std::size_t dim_;
  std::size_t block_rows_;
  std::vector<std::int32_t> labels_;
  std::vector<std::size_t> label_ends_;  ///< Where a row's labels end in labels_; empty: one per row.
  std::vector<std::size_t> positions_;
  std::vector<float> values_;
  RowScaler scaler_;
};

/// The features of the rows at some positions, row-major positions.size() x dim.
std::vector<float> rows_at(const FeatureRows& rows, const std::vector<std::size_t>& positions,
                           Parallel& parallel);

/// At most `most` of n positions, evenly spaced, ascending.
std::vector<std::size_t> evenly_spaced(std::size_t n, std::size_t most);

}  // namespace graft::learning
