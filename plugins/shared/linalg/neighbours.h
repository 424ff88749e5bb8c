#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace graft::linalg {

struct Neighbour {
  std::uint32_t row;
  double similarity;
};

/// Exact nearest rows by cosine. Rows and queries are of unit length (RowScaler::Kind::L2) or zero; a zero
/// vector has similarity 0 to everything.
///
/// A float32 matrix product proposes candidates and double precision decides: a candidate is dropped only
/// when the error bound of the product proves that it is not among the k best. So the answer does not depend
/// on how the product was cut or which kernel ran. Equal similarities: the lower row comes first.
class CosineIndex {
 public:
  /// `rows`: row-major, count x dim.
  CosineIndex(std::vector<float> rows, std::size_t dim);

  std::size_t size() const { return count_; }
  std::size_t dim() const { return dim_; }
  const std::vector<float>& rows() const { return rows_; }

  /// The min(k, size()) best rows of every query, best first: count x min(k, size()) results, row-major.
  /// `queries` is row-major count x dim. Runs on the calling thread; may be called from several.
  std::vector<Neighbour> search(std::span<const float> queries, std::size_t k) const;

 private:
  class Best;
  void search_tile(const float* queries, std::size_t count, std::size_t k, std::vector<float>& scores,
                   Neighbour* out) const;

  std::vector<float> rows_;
  std::size_t dim_;
  std::size_t count_;
};

}  // namespace graft::linalg
