#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <learning/features.h>

namespace graft::search {

/// Scalar product in double, always added up in the same order, so that it has the same bits everywhere.
double scalar_product(const float* a, const float* b, std::size_t dim);

/// What "near" means. Cosine: the similarity is the scalar product of rows of length 1; a row of zeros has
/// similarity 0 to everything. Euclidean: the similarity is minus the squared distance. A value; any thread.
class Metric {
 public:
  static const Metric kCosine, kEuclidean;
  static const std::vector<std::string>& names();  // "cosine", "euclidean"
  /// Throws Error for any other name.
  static Metric from(std::string_view name);
  const std::string& name() const { return names()[static_cast<std::size_t>(kind_)]; }

  /// Only the directions of rows count: they are compared at length 1.
  bool by_direction() const { return kind_ == Kind::Cosine; }
  /// What brings rows to the form in which they are compared.
  learning::RowScaler scaler() const {
    return learning::RowScaler(by_direction() ? learning::RowScaler::Kind::L2
                                              : learning::RowScaler::Kind::None);
  }

  /// Of scaled rows, in double, always added up in the same order. Larger is nearer.
  double similarity(const float* a, const float* b, std::size_t dim) const;
  /// The same from the rows' scalar product and half of their squared lengths, up to rounding.
  double similarity(double product, double half_square_a, double half_square_b) const {
    return by_direction() ? product : 2 * (product - half_square_a - half_square_b);
  }
  /// 1 - cosine, or the Euclidean distance.
  double distance(double similarity) const {
    return by_direction() ? std::max(1 - similarity, 0.0) : std::sqrt(-similarity);
  }

  friend bool operator==(const Metric&, const Metric&) = default;

 private:
  enum class Kind { Cosine, Euclidean };
  constexpr explicit Metric(Kind kind) : kind_(kind) {}
  Kind kind_;
};

inline constexpr Metric Metric::kCosine(Metric::Kind::Cosine);
inline constexpr Metric Metric::kEuclidean(Metric::Kind::Euclidean);

}  // namespace graft::search
