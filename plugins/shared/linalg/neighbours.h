#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace graft::linalg {

/// What "near" means. Cosine: the scalar product of rows of length 1 (RowScaler::Kind::L2); a row of zeros
/// has similarity 0 to everything. Euclidean: the similarity is minus the squared distance.
enum class Metric { Cosine, Euclidean };
const std::vector<std::string>& metric_names();  // "cosine", "euclidean"
Metric metric_from(std::string_view name);       // throws Error

struct Neighbour {
  std::uint32_t row;
  double similarity;  ///< Larger is nearer.
};

/// Rows [begin, end).
struct RowRange {
  std::uint32_t begin = 0, end = 0;
  bool contains(std::uint32_t row) const { return row >= begin && row < end; }
};

/// Similarity in double, always added up in the same order, so that it has the same bits everywhere.
double exact_similarity(Metric metric, const float* a, const float* b, std::size_t dim);

/// Exact nearest rows. A float32 matrix product proposes candidates and double precision decides: a candidate
/// is dropped only when the error bound of the product proves that it is not among the k best. So the answer
/// does not depend on how the product was cut or which kernel ran. Equal similarities: the lower row comes
/// first. Immutable; any thread.
class ExactIndex {
 public:
  /// In the place of a neighbour that there is not, because too many rows were excluded.
  static constexpr std::uint32_t kNoRow = std::numeric_limits<std::uint32_t>::max();

  /// `rows`: finite, row-major, count x dim; at most kNoRow of them.
  ExactIndex(std::vector<float> rows, std::size_t dim, Metric metric);

  std::size_t size() const { return count_; }
  std::size_t dim() const { return dim_; }
  Metric metric() const { return metric_; }
  const std::vector<float>& rows() const { return rows_; }
  const float* row(std::size_t r) const { return rows_.data() + r * dim_; }

  /// The min(k, size()) best rows of every query, best first: count x min(k, size()) results, row-major.
  /// `queries` is row-major count x dim. `excluded`, when given, has rows that each query must not see
  /// (itself, for leave-one-out); where fewer than k are left, kNoRow with similarity -infinity fills up.
  /// Runs on the calling thread. Best called with some hundreds of queries.
  std::vector<Neighbour> search(std::span<const float> queries, std::size_t k,
                                std::span<const RowRange> excluded = {}) const;

  /// The similarity of one query to every row.
  void similarities(const float* query, std::span<double> out) const;

 private:
  class Best;
  void search_tile(std::span<const float> queries, std::size_t k, const RowRange* excluded,
                   std::vector<float>& scores, Neighbour* out) const;

  std::vector<float> rows_;
  std::size_t dim_;
  std::size_t count_;
  Metric metric_;
  std::vector<float> half_squares_;  ///< Euclidean: |row|^2 / 2, so that the product less this is a score.
  double longest_ = 0;               ///< Length of the longest row.
};

}  // namespace graft::linalg
