#include <search/neighbours.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

#include <graft/error.h>

#include <learning/features.h>
#include <numeric/blas.h>
#include "two_versions.h"

namespace graft::search {
namespace {

// A tile of scores stays in a core's cache, and is large enough for the product to run at full speed.
constexpr std::size_t kQueryTile = 512;
constexpr std::size_t kRowTile = 512;
constexpr std::size_t kLeastTile = 64;  // queries that are worth a thread

constexpr std::size_t kStateBytes = std::size_t{64} << 20;  // candidates of the queries of one pass

constexpr std::size_t kGroup = 32;  // scores that are compared with the threshold without a branch

/// The first group of kGroup scores, from group `at` on and before group `end`, of which one reaches the
/// threshold.
template <typename Score>
GRAFT_INLINE std::size_t next_group(Score score, std::size_t at, std::size_t end, float threshold) {
  for (; at < end; ++at) {
    int any = 0;
    for (std::size_t i = 0; i < kGroup; ++i) any |= score(at * kGroup + i) >= threshold ? 1 : 0;
    if (any != 0) break;
  }
  return at;
}

/// `half_squares`, unless null, are taken away from the scores: see ExactIndex::half_squares_.
GRAFT_INLINE std::size_t next_group_of(const float* scores, const float* half_squares, std::size_t at,
                                       std::size_t end, float threshold) {
  if (half_squares == nullptr)
    return next_group([=](std::size_t i) { return scores[i]; }, at, end, threshold);
  return next_group([=](std::size_t i) { return scores[i] - half_squares[i]; }, at, end, threshold);
}

using NextGroup = std::size_t (*)(const float* scores, const float* half_squares, std::size_t at,
                                  std::size_t end, float threshold);

GRAFT_AVX2 std::size_t next_avx2(const float* scores, const float* half_squares, std::size_t at,
                                 std::size_t end, float threshold) {
  return next_group_of(scores, half_squares, at, end, threshold);
}
std::size_t next_plain(const float* scores, const float* half_squares, std::size_t at, std::size_t end,
                       float threshold) {
  return next_group_of(scores, half_squares, at, end, threshold);
}

const NextGroup kNextGroup = cpu_isa() >= CpuIsa::Avx2 ? next_avx2 : next_plain;

struct Candidate {
  std::uint32_t row;
  float score;
};

/// A candidate whose similarity is known in double precision.
struct Ranked {
  std::uint32_t row;
  float score;
  double similarity;
};

constexpr double kHuge = 1e37;  // scores beyond may overflow float32

/// Ties go to the lower row.
bool is_nearer(const Ranked& a, const Ranked& b) {
  return a.similarity != b.similarity ? a.similarity > b.similarity : a.row < b.row;
}

/// Rows in memory, as a tensor.
class MemoryTensor final : public TensorReader {
 public:
  MemoryTensor(std::shared_ptr<const std::vector<float>> values, std::size_t rows, std::size_t dim)
      : values_(std::move(values)), shape_{static_cast<std::int64_t>(rows), static_cast<std::int64_t>(dim)} {}
  DType dtype() const override { return DType::F32; }
  const Shape& shape() const override { return shape_; }
  void read(std::size_t first, std::size_t count, void* out) const override {
    const auto dim = static_cast<std::size_t>(shape_[1]);
    std::copy_n(values_->data() + first * dim, count * dim, static_cast<float*>(out));
  }

 private:
  std::shared_ptr<const std::vector<float>> values_;
  Shape shape_;
};

}  // namespace

/// The best rows of one query. They are proposed by score: the scalar product, for Euclidean less half the
/// row's square, which falls as the distance grows.
class ExactIndex::Reservoir {
 public:
  Reservoir(const ExactIndex& index, const float* query, std::size_t k, RowRange excluded)
      : index_(index), query_(query), k_(k), excluded_(excluded) {
    const double length = std::sqrt(scalar_product(query, query, index.dim_));
    // Of a float32 scalar product, in any order of summation (Higham 2002, section 3.1), of what is taken
    // away from it, and of products that underflow; and of the similarity in double that has the last word.
    const double dim = static_cast<double>(index.dim_) + 10;
    const double together = length + index.longest_;
    const double error = 6e-8 * (dim * length * index.longest_ + 2 * index.longest_ * index.longest_) +
                         1.2e-38 * dim + 1.2e-16 * dim * together * together;
    by_brute_force_ = !(together * index.longest_ < kHuge && error < kHuge);
    error_ = static_cast<float>(error) * 1.0001F;
  }

  /// Bytes that one of them holds at most.
  static std::size_t bytes(std::size_t k) {
    return sizeof(Reservoir) + capacity(k) * sizeof(Candidate) + 2 * k * sizeof(Ranked);
  }

  /// Scores of the rows from `first` on; `half_squares`, unless null, is taken away from them. Most are below
  /// the threshold: whole groups are passed over by one branch. `rows`: their features; those of the rows
  /// that were added since the last re_rank() lie before them.
  void add_scores(std::size_t first, const float* rows, const float* scores, const float* half_squares,
                  std::size_t count) {
    origin_ = {rows, first};
    if (by_brute_force_) {
      for (std::size_t i = 0; i < count; ++i) {
        const auto row = static_cast<std::uint32_t>(first + i);
        if (!excluded_.contains(row)) candidates_.push_back({row, 0});
      }
      re_rank();
      return;
    }
    candidates_.reserve(capacity(k_));
    const std::size_t groups = count / kGroup;
    for (std::size_t g = 0; (g = kNextGroup(scores, half_squares, g, groups, threshold_)) < groups; ++g)
      add_group(first, scores, half_squares, g * kGroup);
    for (std::size_t i = groups * kGroup; i < count; ++i) add_candidate(first + i, scores, half_squares, i);
  }

  /// Ranks the candidates by their similarity in double precision and keeps the k nearest. Their features are
  /// not needed afterwards.
  void re_rank() {
    drop_below_threshold();
    best_.reserve(best_.size() + candidates_.size());
    for (const Candidate& c : candidates_) {
      const float* row =
          origin_.rows + (static_cast<std::ptrdiff_t>(c.row) - static_cast<std::ptrdiff_t>(origin_.first)) *
                             static_cast<std::ptrdiff_t>(index_.dim_);
      best_.push_back({c.row, c.score, index_.metric_.similarity(query_, row, index_.dim_)});
    }
    candidates_.clear();
    const std::size_t keep = std::min(k_, best_.size());
    std::partial_sort(best_.begin(), best_.begin() + static_cast<std::ptrdiff_t>(keep), best_.end(),
                      is_nearer);
    best_.resize(keep);
    if (keep < k_) return;
    const auto least = std::min_element(best_.begin(), best_.end(),
                                        [](const Ranked& a, const Ranked& b) { return a.score < b.score; });
    threshold_ = std::max(threshold_, least->score - 2 * error_);
  }

  void write_to(Neighbour* out) const {
    std::transform(best_.begin(), best_.end(), out, [](const Ranked& s) {
      return Neighbour{s.row, s.similarity};
    });
    std::fill(out + best_.size(), out + k_, Neighbour{kNoRow, -std::numeric_limits<double>::infinity()});
  }

 private:
  static std::size_t capacity(std::size_t k) { return std::max<std::size_t>(4 * k, 64); }
  static float score_at(const float* scores, const float* half_squares, std::size_t i) {
    return half_squares == nullptr ? scores[i] : scores[i] - half_squares[i];
  }

  /// As add_candidate() for each of a group. Looks which ones reach the threshold first, without a branch to
  /// be guessed wrong.
  void add_group(std::size_t first, const float* scores, const float* half_squares, std::size_t begin) {
    std::array<std::size_t, kGroup> reach;
    std::size_t n = 0;
    for (std::size_t i = begin; i < begin + kGroup; ++i) {
      reach[n] = i;
      n += score_at(scores, half_squares, i) >= threshold_ ? 1 : 0;
    }
    for (std::size_t j = 0; j < n; ++j) add_candidate(first + reach[j], scores, half_squares, reach[j]);
  }

  void add_candidate(std::size_t at, const float* scores, const float* half_squares, std::size_t i) {
    const float score = score_at(scores, half_squares, i);
    const auto row = static_cast<std::uint32_t>(at);
    if (score < threshold_ || excluded_.contains(row)) return;
    candidates_.push_back({row, score});
    if (candidates_.size() == capacity(k_)) make_room();
  }

  void make_room() {
    drop_below_threshold();
    if (2 * candidates_.size() > capacity(k_)) re_rank();  // too many within the error of the product
  }

  /// Drops what cannot be among the k best: k others are better by more than both errors.
  void drop_below_threshold() {
    if (candidates_.size() <= k_ || by_brute_force_) return;
    const auto kth = candidates_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
    std::nth_element(candidates_.begin(), kth, candidates_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    threshold_ = std::max(threshold_, kth->score - 2 * error_);
    std::erase_if(candidates_, [&](const Candidate& c) { return c.score < threshold_; });
  }

  const ExactIndex& index_;
  const float* query_;
  std::size_t k_;
  RowRange excluded_;
  float error_ = 0;
  bool by_brute_force_ = false;
  float threshold_ = -std::numeric_limits<float>::infinity();
  struct {
    const float* rows = nullptr;
    std::size_t first = 0;
  } origin_;  ///< Where features are, relative to some row.
  std::vector<Candidate> candidates_;
  std::vector<Ranked> best_;  ///< Best first.
};

ExactIndex::ExactIndex(std::vector<float> rows, std::size_t dim, Metric metric)
    : values_(std::make_shared<const std::vector<float>>(std::move(rows))),
      reader_(std::make_shared<MemoryTensor>(values_, dim == 0 ? 0 : values_->size() / dim, dim)),
      dim_(dim),
      count_(dim == 0 ? 0 : values_->size() / dim),
      metric_(metric) {
  Sequential sequential;
  measure(sequential);
}

ExactIndex::ExactIndex(std::shared_ptr<const TensorReader> rows, Metric metric, std::size_t cache_bytes,
                       Parallel& parallel, std::size_t part_bytes)
    : reader_(std::move(rows)),
      dim_(static_cast<std::size_t>(reader_->shape()[1])),
      count_(static_cast<std::size_t>(reader_->shape()[0])),
      metric_(metric),
      part_bytes_(part_bytes) {
  if (count_ <= cache_bytes / (sizeof(float) * std::max<std::size_t>(dim_, 1))) {
    std::vector<float> values(count_ * dim_);
    for_each_block(0, count_, parallel, [&](std::size_t first, std::size_t count) {
      reader_->read(first, count, values.data() + first * dim_);
    });
    values_ = std::make_shared<const std::vector<float>>(std::move(values));
    reader_ = std::make_shared<MemoryTensor>(values_, count_, dim_);
  }
  measure(parallel);
}

void ExactIndex::for_each_block(std::size_t begin, std::size_t end, Parallel& parallel,
                                const std::function<void(std::size_t first, std::size_t count)>& body) const {
  const std::size_t step = learning::rows_per_block(dim_);
  parallel.for_each((end - begin + step - 1) / step, [&](std::size_t b) {
    const std::size_t first = begin + b * step;
    body(first, std::min(step, end - first));
  });
}

void ExactIndex::measure(Parallel& parallel) {
  if (count_ > kNoRow)
    throw Error(fmt::format("{} rows to search among: expected at most {}", count_, kNoRow));
  if (!metric_.by_direction()) half_squares_.resize(count_);
  std::atomic<double> most = 0;
  for_each_part(parallel, [&](std::size_t begin, std::size_t in_part, const float* rows) {
    for_each_block(begin, begin + in_part, parallel, [&](std::size_t first, std::size_t count) {
      double most_here = 0;
      for (std::size_t r = first; r < first + count; ++r) {
        const float* row = rows + (r - begin) * dim_;
        const double square = scalar_product(row, row, dim_);
        most_here = std::max(most_here, square);
        if (!metric_.by_direction()) half_squares_[r] = static_cast<float>(square / 2);
      }
      double known = most;
      while (most_here > known && !most.compare_exchange_weak(known, most_here)) {
      }
    });
  });
  longest_ = std::sqrt(most);
}

void ExactIndex::for_each_part(
    Parallel& parallel,
    const std::function<void(std::size_t first, std::size_t count, const float* rows)>& body) const {
  if (count_ == 0) return;
  if (in_memory()) {
    body(0, count_, values_->data());
    return;
  }
  const std::size_t step = learning::rows_per_block(dim_);
  const std::size_t most = step * std::max<std::size_t>(1, part_bytes_ / (step * dim_ * sizeof(float)));
  std::vector<float> part(std::min(count_, most) * dim_);
  for (std::size_t begin = 0; begin < count_; begin += most) {
    const std::size_t end = std::min(count_, begin + most);
    for_each_block(begin, end, parallel, [&](std::size_t first, std::size_t count) {
      reader_->read(first, count, part.data() + (first - begin) * dim_);
    });
    body(begin, end - begin, part.data());
  }
}

std::vector<Neighbour> ExactIndex::search(std::span<const float> queries, std::size_t k,
                                          std::span<const RowRange> excluded, Parallel& parallel) const {
  const std::size_t count = dim_ == 0 ? 0 : queries.size() / dim_;
  k = std::min(k, count_);
  std::vector<Neighbour> out(count * k);
  if (k == 0) return out;
  const std::size_t together = std::max<std::size_t>(kQueryTile, kStateBytes / Reservoir::bytes(k));
  for (std::size_t q = 0; q < count; q += together) {
    const std::size_t n = std::min(together, count - q);
    search_together(queries.subspan(q * dim_, n * dim_), k,
                    excluded.empty() ? excluded : excluded.subspan(q, n), parallel, out.data() + q * k);
  }
  return out;
}

void ExactIndex::search_together(std::span<const float> queries, std::size_t k,
                                 std::span<const RowRange> excluded, Parallel& parallel,
                                 Neighbour* out) const {
  const std::size_t count = queries.size() / dim_;
  const auto threads = static_cast<std::size_t>(parallel.threads());
  const std::size_t tile = std::clamp((count + threads - 1) / threads, kLeastTile, kQueryTile);
  const std::size_t tiles = (count + tile - 1) / tile;
  std::vector<std::vector<Reservoir>> best(tiles);
  parallel.for_each(tiles, [&](std::size_t t) {
    best[t].reserve(tile);
    for (std::size_t q = t * tile; q < std::min(count, (t + 1) * tile); ++q)
      best[t].emplace_back(*this, queries.data() + q * dim_, k, excluded.empty() ? RowRange{} : excluded[q]);
  });
  for_each_part(parallel, [&](std::size_t begin, std::size_t in_part, const float* part) {
    parallel.for_each(tiles, [&](std::size_t t) {
      const std::size_t n = best[t].size();
      std::vector<float> scores(n * std::min(kRowTile, in_part));
      for (std::size_t at = 0; at < in_part; at += kRowTile) {
        const std::size_t rows = std::min(kRowTile, in_part - at);
        const float* features = part + at * dim_;
        numeric::multiply_nt({queries.data() + t * tile * dim_, n, dim_}, {features, rows, dim_},
                             {scores.data(), n, rows});
        const float* half_squares = half_squares_.empty() ? nullptr : half_squares_.data() + begin + at;
        for (std::size_t q = 0; q < n; ++q)
          best[t][q].add_scores(begin + at, features, scores.data() + q * rows, half_squares, rows);
      }
      for (Reservoir& b : best[t]) b.re_rank();
    });
  });
  parallel.for_each(tiles, [&](std::size_t t) {
    for (std::size_t q = 0; q < best[t].size(); ++q) best[t][q].write_to(out + (t * tile + q) * k);
  });
}

}  // namespace graft::search
