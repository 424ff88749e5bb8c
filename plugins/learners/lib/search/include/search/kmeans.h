#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <graft/predictor.h>

#include <search/neighbours.h>

namespace graft::search {

struct Clusters {
  std::vector<float> centres;         ///< Row-major count x dim.
  std::vector<std::uint32_t> member;  ///< The centre of every row.
  double spread = 0;                  ///< Mean over the rows of minus the similarity to their centre.
  int iterations = 0;
  std::size_t count(std::size_t dim) const { return centres.size() / dim; }
};

/// k-means (Lloyd 1982) from seeds drawn as in k-means++ (Arthur & Vassilvitskii 2007). Cosine: rows are of
/// length 1, and so are the centres (spherical k-means, Dhillon & Modha 2001). A centre that loses its rows
/// moves to the row that is farthest from its own centre. Fewer than `k` different rows make fewer centres.
/// Stops when no row changes its centre, or after `max_iterations`. `rows`: row-major, not empty. The same
/// bits for any number of threads.
Clusters k_means(std::span<const float> rows, std::size_t dim, std::size_t k, Metric metric,
                 std::uint64_t seed, Parallel& parallel, int max_iterations = 100);

}  // namespace graft::search
