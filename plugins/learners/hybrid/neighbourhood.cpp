#include "neighbourhood.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <search/vote.h>

namespace graft {
namespace {

constexpr std::size_t kBlock = 256;  // rows that one call handles

void in_blocks(std::size_t rows, Parallel& parallel,
               const std::function<void(std::size_t first, std::size_t count)>& body) {
  parallel.for_each((rows + kBlock - 1) / kBlock,
                    [&](std::size_t b) { body(b * kBlock, std::min(kBlock, rows - b * kBlock)); });
}

/// Weights of the neighbours, adding up to 1.
std::vector<double> weights(std::span<const search::Neighbour> found, double temperature) {
  std::vector<double> w;
  double sum = 0;
  for (const search::Neighbour& n : found) {
    w.push_back(std::exp((n.similarity - found[0].similarity) / temperature));
    sum += w.back();
  }
  for (double& v : w) v /= sum;
  return w;
}

}  // namespace

std::span<const search::Neighbour> Neighbourhood::of(std::size_t row, std::size_t n) const {
  const search::Neighbour* from = found.data() + row * k;
  std::size_t there = std::min(n, k);
  while (there > 0 && from[there - 1].row == search::ExactIndex::kNoRow) --there;
  return {from, there};
}

Neighbourhood neighbours_of(const search::ExactIndex& index, std::span<const float> rows, std::size_t k,
                            Parallel& parallel) {
  return {rows.size() / index.dim(), std::min(k, index.size()), index.search(rows, k, {}, parallel)};
}

Neighbourhood neighbours_of_own_rows(const search::ExactIndex& index, const search::Provenance& provenance,
                                     std::size_t k, Parallel& parallel) {
  std::vector<search::RowRange> own(index.size());
  for (std::size_t r = 0; r < own.size(); ++r) own[r] = provenance.of_row(static_cast<std::uint32_t>(r));
  return {index.size(), std::min(k, index.size()), index.search(index.rows(), k, own, parallel)};
}

std::vector<float> mean_features(const Neighbourhood& neighbourhood, const search::ExactIndex& index,
                                 const Pooling& pooling, Parallel& parallel) {
  const std::size_t dim = index.dim();
  std::vector<float> out(neighbourhood.rows * dim);
  in_blocks(neighbourhood.rows, parallel, [&](std::size_t first, std::size_t count) {
    std::vector<double> sum(dim);
    for (std::size_t r = first; r < first + count; ++r) {
      const auto found = neighbourhood.of(r, pooling.n);
      if (found.empty()) continue;
      const std::vector<double> w = weights(found, pooling.temperature);
      std::fill(sum.begin(), sum.end(), 0.0);
      for (std::size_t i = 0; i < found.size(); ++i) {
        const float* row = index.rows().data() + found[i].row * dim;
        for (std::size_t d = 0; d < dim; ++d) sum[d] += w[i] * static_cast<double>(row[d]);
      }
      double length = 0;
      for (const double v : sum) length += v * v;
      length = std::sqrt(length);
      for (std::size_t d = 0; d < dim && length > 0; ++d)
        out[r * dim + d] = static_cast<float>(sum[d] / length);
    }
  });
  return out;
}

std::vector<float> votes(const Neighbourhood& neighbourhood, const std::vector<std::int32_t>& labels,
                         std::size_t classes, const Pooling& pooling, Parallel& parallel) {
  std::vector<float> out(neighbourhood.rows * classes);
  const search::Vote how{pooling.n, search::VoteWeight::Exp, pooling.temperature};
  in_blocks(neighbourhood.rows, parallel, [&](std::size_t first, std::size_t count) {
    for (std::size_t r = first; r < first + count; ++r) {
      const auto found = neighbourhood.of(r, pooling.n);
      const std::span<float> shares(out.data() + r * classes, classes);
      search::vote(found, how, search::Metric::kCosine, labels, shares);
      if (found.empty()) std::fill(shares.begin(), shares.end(), 1.0F / static_cast<float>(classes));
    }
  });
  return out;
}

std::vector<float> cache_logits(const Neighbourhood& neighbourhood, const std::vector<std::int32_t>& labels,
                                std::size_t classes, std::size_t n, double beta, Parallel& parallel) {
  std::vector<float> out(neighbourhood.rows * classes);
  in_blocks(neighbourhood.rows, parallel, [&](std::size_t first, std::size_t count) {
    std::vector<double> sum(classes);
    for (std::size_t r = first; r < first + count; ++r) {
      std::fill(sum.begin(), sum.end(), 0.0);
      for (const search::Neighbour& one : neighbourhood.of(r, n))
        sum[static_cast<std::size_t>(labels[one.row])] += std::exp(-beta * (1 - one.similarity));
      for (std::size_t c = 0; c < classes; ++c) out[r * classes + c] = static_cast<float>(sum[c]);
    }
  });
  return out;
}

}  // namespace graft
