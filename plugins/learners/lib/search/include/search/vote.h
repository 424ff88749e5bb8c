#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <search/neighbours.h>

namespace graft::search {

/// What the vote of a neighbour with similarity s weighs.
enum class VoteWeight {
  Exp,       ///< exp(s / T): Wu et al. 2018.
  Uniform,   ///< 1.
  Distance,  ///< 1 / (d + 1e-5) with the distance d = 1 - s of cosine, sqrt(-s) of Euclidean.
};
const std::vector<std::string>& vote_weight_names();  // "exp", "uniform", "distance"
VoteWeight vote_weight_from(std::string_view name);   // throws Error

struct Vote {
  std::size_t k = 0;
  VoteWeight weight = VoteWeight::Exp;
  double temperature = 0;  ///< Exp only.
};

/// Fractions of the votes of a row's k nearest neighbours (best first), one per class, adding up to 1; all
/// zero when there is no neighbour. The largest weight is scaled to 1 first, so that no temperature overflows
/// or loses all votes.
void vote(std::span<const Neighbour> neighbours, const Vote& how, Metric metric,
          std::span<const std::int32_t> labels, std::span<float> shares);

}  // namespace graft::search
