#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include <graft/predictor.h>

#include <search/metric.h>

namespace graft::search {

struct Neighbour {
  std::uint32_t row;
  double similarity;  ///< Larger is nearer.
};

/// Rows [begin, end).
struct RowRange {
  std::uint32_t begin = 0, end = 0;
  bool contains(std::uint32_t row) const { return row >= begin && row < end; }
};

/// Exact nearest rows. A float32 matrix product proposes candidates and double precision decides: a candidate
/// is dropped only when the error bound of the product proves that it is not among the k best. So the answer
/// does not depend on how the product was cut, which kernel ran, or where the rows are. Ties go to the lower
/// row. Immutable; any thread; copies share the rows.
class ExactIndex {
 public:
  /// In the place of a neighbour that there is not, because too many rows were excluded.
  static constexpr std::uint32_t kNoRow = std::numeric_limits<std::uint32_t>::max();

  /// `rows`: finite, row-major, count x dim; at most kNoRow of them.
  ExactIndex(std::vector<float> rows, std::size_t dim, Metric metric);
  /// `rows`: f32, count x dim, finite. Held in memory when they take up at most `cache_bytes`, otherwise read
  /// once here and once in every search, `part_bytes` at a time (four bytes a row are held for Euclidean).
  ExactIndex(std::shared_ptr<const TensorReader> rows, Metric metric, std::size_t cache_bytes,
             Parallel& parallel, std::size_t part_bytes = std::size_t{16} << 20);

  std::size_t size() const { return count_; }
  std::size_t dim() const { return dim_; }
  Metric metric() const { return metric_; }
  double longest() const { return longest_; }  ///< Length of the longest row.

  bool in_memory() const { return values_ != nullptr; }
  /// Of an index in memory only.
  const std::vector<float>& rows() const { return *values_; }
  const float* row(std::size_t r) const { return values_->data() + r * dim_; }
  /// The rows of any index, f32 count x dim.
  const std::shared_ptr<const TensorReader>& reader() const { return reader_; }
  /// Goes once over all rows in order: at once where they are in memory, otherwise part by part.
  void for_each_part(
      Parallel& parallel,
      const std::function<void(std::size_t first, std::size_t count, const float* rows)>& body) const;

  /// The min(k, size()) best rows of every query, best first: count x min(k, size()) results, row-major.
  /// `queries` is row-major count x dim. `excluded`, when given, has rows that each query must not see
  /// (itself, for leave-one-out); where fewer than k are left, kNoRow with similarity -infinity fills up.
  /// Rows that are not in memory are read once for every 64 MiB of candidates: ask many queries at once.
  std::vector<Neighbour> search(std::span<const float> queries, std::size_t k,
                                std::span<const RowRange> excluded, Parallel& parallel) const;

 private:
  class Reservoir;
  void measure(Parallel& parallel);
  void for_each_block(std::size_t begin, std::size_t end, Parallel& parallel,
                      const std::function<void(std::size_t first, std::size_t count)>& body) const;
  void search_together(std::span<const float> queries, std::size_t k, std::span<const RowRange> excluded,
                       Parallel& parallel, Neighbour* out) const;

  std::shared_ptr<const std::vector<float>> values_;  ///< Null when the rows are not in memory.
  std::shared_ptr<const TensorReader> reader_;
  std::size_t dim_;
  std::size_t count_;
  Metric metric_;
  std::vector<float> half_squares_;  ///< Euclidean: |row|^2 / 2, so that the product less this is a score.
  double longest_ = 0;
  std::size_t part_bytes_ = 0;  ///< Of rows that are not in memory.
};

}  // namespace graft::search
