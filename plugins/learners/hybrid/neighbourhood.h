#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <graft/predictor.h>

#include <search/neighbours.h>
#include <search/provenance.h>

namespace graft {

/// The most similar training rows of some rows, best first.
struct Neighbourhood {
  std::size_t rows = 0, k = 0;
  std::vector<search::Neighbour> found;  ///< Row-major rows x k; ExactIndex::kNoRow where there are fewer.

  /// The n nearest, or as many as there are.
  std::span<const search::Neighbour> of(std::size_t row, std::size_t n) const;
};

/// Neighbours of rows that are not training rows: row-major, unit length, index.dim() features.
Neighbourhood neighbours_of(const search::ExactIndex& index, std::span<const float> rows, std::size_t k,
                            Parallel& parallel);
/// Neighbours of the training rows themselves: each has the rows of other inputs, never itself or another
/// view of its own. Otherwise what is learnt from neighbours is that the nearest one is always right.
Neighbourhood neighbours_of_own_rows(const search::ExactIndex& index, const search::Provenance& provenance,
                                     std::size_t k, Parallel& parallel);

/// What the n nearest say, each with weight exp((s - s_1) / T), scaled to add up to 1.
struct Pooling {
  std::size_t n = 20;
  double temperature = 0.07;
};
/// Weighted mean of the neighbours' features; index.dim() numbers per row, scaled to unit length (zeros
/// without neighbours).
std::vector<float> mean_features(const Neighbourhood& neighbourhood, const search::ExactIndex& index,
                                 const Pooling& pooling, Parallel& parallel);
/// Weighted fractions of the classes among the neighbours; all classes equal without neighbours.
std::vector<float> votes(const Neighbourhood& neighbourhood, const std::vector<std::int32_t>& labels,
                         std::size_t classes, const Pooling& pooling, Parallel& parallel);
/// sum over the neighbours of exp(-beta (1 - s)) for their classes: the cache of Tip-Adapter (Zhang et al.
/// 2022, equation 3), over the n nearest in place of all.
std::vector<float> cache_logits(const Neighbourhood& neighbourhood, const std::vector<std::int32_t>& labels,
                                std::size_t classes, std::size_t n, double beta, Parallel& parallel);

}  // namespace graft
