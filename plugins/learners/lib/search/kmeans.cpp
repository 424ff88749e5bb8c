#include <search/kmeans.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include <graft/random.h>

#include <learning/features.h>
#include <numeric/parts.h>

namespace graft::search {
namespace {

class KMeans {
 public:
  KMeans(std::span<const float> rows, std::size_t dim, Metric metric, Parallel& parallel)
      : rows_(rows),
        dim_(dim),
        count_(rows.size() / dim),
        metric_(metric),
        parallel_(parallel),
        step_(learning::rows_per_block(dim)),
        blocks_((count_ + step_ - 1) / step_) {}

  Clusters run(std::size_t k, std::uint64_t seed, int max_iterations) {
    Clusters out;
    out.centres = seeds(k, seed);
    assign(out);
    while (out.iterations < max_iterations) {
      ++out.iterations;
      move_centres(out);
      const std::vector<std::uint32_t> before = out.member;
      assign(out);
      if (out.member == before) break;
    }
    out.spread = std::accumulate(distance_.begin(), distance_.end(), 0.0) / static_cast<double>(count_);
    return out;
  }

 private:
  const float* row(std::size_t r) const { return rows_.data() + r * dim_; }
  std::size_t end(std::size_t block) const { return std::min(count_, (block + 1) * step_); }

  /// Squared distance; of rows of length 1 it is 2 - 2 cos, so one rule serves both metrics.
  std::vector<float> seeds(std::size_t k, std::uint64_t seed) const {
    Random random(seed);
    std::vector<float> centres;
    std::vector<double> nearest(count_, std::numeric_limits<double>::infinity());
    std::size_t next = random.below(count_);
    while (true) {
      centres.insert(centres.end(), row(next), row(next) + dim_);
      if (centres.size() == k * dim_) return centres;
      parallel_.for_each(blocks_, [&](std::size_t b) {
        for (std::size_t r = b * step_; r < end(b); ++r) {
          nearest[r] = std::min(nearest[r], -Metric::kEuclidean.similarity(row(r), row(next), dim_));
        }
      });
      const double total = std::accumulate(nearest.begin(), nearest.end(), 0.0);
      if (!(total > 0)) return centres;  // every row is a centre
      double left = random.uniform() * total;
      std::size_t drawn = 0, last = 0;
      for (; drawn < count_; ++drawn) {
        if (nearest[drawn] == 0) continue;
        last = drawn;
        left -= nearest[drawn];
        if (left < 0) break;
      }
      next = last;  // rounding may leave something after the last row
    }
  }

  /// Fills in the nearest centre of every row and minus the similarity to it.
  void assign(Clusters& out) {
    const ExactIndex index(out.centres, dim_, metric_);
    out.member.resize(count_);
    distance_.resize(count_);
    const std::vector<Neighbour> nearest = index.search(rows_, 1, {}, parallel_);
    for (std::size_t r = 0; r < count_; ++r) {
      out.member[r] = nearest[r].row;
      distance_[r] = -nearest[r].similarity;
    }
  }

  void move_centres(Clusters& out) {
    const std::size_t k = out.count(dim_);
    const numeric::Parts parts(blocks_, k * dim_ * sizeof(double));
    std::vector<std::vector<double>> sums(parts.count());
    parallel_.for_each(parts.count(), [&](std::size_t p) {
      sums[p].assign(k * dim_, 0);
      const std::size_t last = parts.begin(p + 1) == blocks_ ? count_ : parts.begin(p + 1) * step_;
      for (std::size_t r = parts.begin(p) * step_; r < last; ++r) {
        double* to = sums[p].data() + out.member[r] * dim_;
        for (std::size_t d = 0; d < dim_; ++d) to[d] += row(r)[d];
      }
    });
    for (std::size_t p = 1; p < parts.count(); ++p) {
      for (std::size_t i = 0; i < k * dim_; ++i) sums[0][i] += sums[p][i];
    }
    std::vector<double> sizes(k);
    for (const std::uint32_t m : out.member) ++sizes[m];
    for (std::size_t c = 0; c < k; ++c) {
      float* centre = out.centres.data() + c * dim_;
      if (sizes[c] == 0) {
        const auto farthest = std::max_element(distance_.begin(), distance_.end());
        std::copy_n(row(static_cast<std::size_t>(farthest - distance_.begin())), dim_, centre);
        *farthest = -std::numeric_limits<double>::infinity();  // not for two centres
        continue;
      }
      for (std::size_t d = 0; d < dim_; ++d) centre[d] = static_cast<float>(sums[0][c * dim_ + d] / sizes[c]);
    }
    metric_.scaler().apply(k, dim_, out.centres.data());
  }

  std::span<const float> rows_;
  std::size_t dim_;
  std::size_t count_;
  Metric metric_;
  Parallel& parallel_;
  std::size_t step_;
  std::size_t blocks_;
  std::vector<double> distance_;
};

}  // namespace

Clusters k_means(std::span<const float> rows, std::size_t dim, std::size_t k, Metric metric,
                 std::uint64_t seed, Parallel& parallel, int max_iterations) {
  return KMeans(rows, dim, metric, parallel).run(std::max<std::size_t>(k, 1), seed, max_iterations);
}

}  // namespace graft::search
