#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <graft/predictor.h>
#include <graft/table.h>

namespace graft::page {

/// Rows of more numbers than this are pixels, not features: nothing is drawn of them.
inline constexpr std::size_t kMostFeatures = 8192;

/// Inputs on a plane: the two directions in which the features of these rows differ most (PCA).
struct FeatureMap {
  struct Point {
    std::size_t row = 0;
    double x = 0, y = 0;
  };
  std::vector<Point> points;
  double explained[2] = {};  ///< Fraction of the variance along x and along y.
};

/// Of at most `most` of these rows, evenly spread. Empty for fewer than 3 rows, or of more than kMostFeatures
/// numbers. Throws what reading does, and Interrupted.
FeatureMap feature_map(const RowSet& rows, std::vector<std::size_t> of, std::size_t most,
                       Interruptible& parallel);

/// Other places for the points of a map, one each, at which inputs with similar features (Euclidean) are
/// neighbours, as far as a plane allows: the neighbour graph and the layout of UMAP (McInnes, Healy and
/// Melville 2018, arXiv:1802.03426), from the PCA, with 15 exact neighbours. Distances between groups mean
/// little. The same each time, for any number of threads. Empty for fewer than 8 points.
std::vector<std::pair<double, double>> neighbour_map(const RowSet& rows, const FeatureMap& map,
                                                     Interruptible& parallel);

/// The rows of `among` that are most like each of `queries` by the cosine of their features, best first; ties
/// go to the lower row. One list per query.
struct NearRow {
  std::size_t row = 0;
  double cosine = 0;
};
std::vector<std::vector<NearRow>> nearest_rows(const RowSet& rows, const std::vector<std::size_t>& queries,
                                               const std::vector<std::size_t>& among, std::size_t k,
                                               Interruptible& parallel);

}  // namespace graft::page
