#include <search/vote.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <graft/error.h>

namespace graft::search {
namespace {

constexpr double kNearest = 1e-5;  // keeps the weight of a distance of 0 finite

/// Relative to that of the nearest one.
double weight_of(double similarity, double nearest, const Vote& how, Metric metric) {
  if (how.weight == VoteWeight::Uniform) return 1;
  if (how.weight == VoteWeight::Exp) return std::exp((similarity - nearest) / how.temperature);
  return (metric.distance(nearest) + kNearest) / (metric.distance(similarity) + kNearest);
}

}  // namespace

const std::vector<std::string>& vote_weight_names() {
  static const std::vector<std::string> kAll = {"exp", "uniform", "distance"};
  return kAll;
}

VoteWeight vote_weight_from(std::string_view name) {
  const auto found = std::find(vote_weight_names().begin(), vote_weight_names().end(), name);
  if (found == vote_weight_names().end())
    throw Error(fmt::format("weights '{}': expected exp, uniform or distance", name));
  return static_cast<VoteWeight>(found - vote_weight_names().begin());
}

void vote(std::span<const Neighbour> neighbours, const Vote& how, Metric metric,
          std::span<const std::int32_t> labels, std::span<float> shares) {
  std::vector<double> votes(shares.size());
  double sum = 0;
  for (const Neighbour& n : neighbours.first(std::min(how.k, neighbours.size()))) {
    if (n.row == ExactIndex::kNoRow) break;
    const double weight = weight_of(n.similarity, neighbours[0].similarity, how, metric);
    votes[static_cast<std::size_t>(labels[n.row])] += weight;
    sum += weight;
  }
  for (std::size_t c = 0; c < shares.size(); ++c)
    shares[c] = sum > 0 ? static_cast<float>(votes[c] / sum) : 0.0F;
}

}  // namespace graft::search
