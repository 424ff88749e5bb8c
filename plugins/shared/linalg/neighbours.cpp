#include "linalg/neighbours.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include <graft/error.h>

#include "image/cpu.h"
#include "linalg/blas.h"

namespace graft::linalg {
namespace {

// A tile of scores stays in a core's cache, and is large enough for the product to run at full speed.
constexpr std::size_t kQueryTile = 512;
constexpr std::size_t kRowTile = 512;

// Loops that the compiler makes twice, with AVX2 and without: none of them has a product whose rounding a
// fused multiply-add could change, so both give the same bits.
#define GRAFT_INLINE [[gnu::always_inline]] inline
#if defined(__x86_64__)
#define GRAFT_AVX2 [[gnu::target("avx2")]]
#else
#define GRAFT_AVX2
#endif

constexpr std::size_t kLanes = 16;  // independent sums, so that loops fill the vector units

/// Sum of term(d) over d < dim, in double.
template <typename Term>
GRAFT_INLINE double sum_of(std::size_t dim, Term term) {
  std::array<double, kLanes> sums{};
  std::size_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    for (std::size_t i = 0; i < kLanes; ++i) sums[i] += term(d + i);
  }
  for (std::size_t i = 0; d < dim; ++d, ++i) sums[i] += term(d);
  double sum = 0;
  for (const double s : sums) sum += s;
  return sum;
}

GRAFT_INLINE double product_of(const float* a, const float* b, std::size_t dim) {
  return sum_of(dim, [=](std::size_t d) { return static_cast<double>(a[d]) * b[d]; });
}

GRAFT_INLINE double distance_of(const float* a, const float* b, std::size_t dim) {
  return sum_of(dim, [=](std::size_t d) {
    const double e = static_cast<double>(a[d]) - b[d];
    return e * e;
  });
}

constexpr std::size_t kGroup = 32;

/// The first group of kGroup scores, from group `at` of `end` on, of which one reaches the threshold.
template <typename Score>
GRAFT_INLINE std::size_t group_of(Score score, std::size_t at, std::size_t end, float threshold) {
  for (; at < end; ++at) {
    int any = 0;
    for (std::size_t i = 0; i < kGroup; ++i) any |= score(at * kGroup + i) >= threshold ? 1 : 0;
    if (any != 0) break;
  }
  return at;
}

/// `less`, unless null, is taken away from the scores.
GRAFT_INLINE std::size_t next_of(const float* scores, const float* less, std::size_t at, std::size_t end,
                                 float threshold) {
  if (less == nullptr) return group_of([=](std::size_t i) { return scores[i]; }, at, end, threshold);
  return group_of([=](std::size_t i) { return scores[i] - less[i]; }, at, end, threshold);
}

struct Kernels {
  double (*product)(const float* a, const float* b, std::size_t dim);
  double (*squared_distance)(const float* a, const float* b, std::size_t dim);
  std::size_t (*next_group)(const float* scores, const float* less, std::size_t at, std::size_t end,
                            float threshold);
};

GRAFT_AVX2 double product_avx2(const float* a, const float* b, std::size_t dim) {
  return product_of(a, b, dim);
}
GRAFT_AVX2 double distance_avx2(const float* a, const float* b, std::size_t dim) {
  return distance_of(a, b, dim);
}
GRAFT_AVX2 std::size_t next_avx2(const float* scores, const float* less, std::size_t at, std::size_t end,
                                 float threshold) {
  return next_of(scores, less, at, end, threshold);
}

double product_plain(const float* a, const float* b, std::size_t dim) {
  return product_of(a, b, dim);
}
double distance_plain(const float* a, const float* b, std::size_t dim) {
  return distance_of(a, b, dim);
}
std::size_t next_plain(const float* scores, const float* less, std::size_t at, std::size_t end,
                       float threshold) {
  return next_of(scores, less, at, end, threshold);
}

const Kernels kKernels = image::has_avx2() ? Kernels{product_avx2, distance_avx2, next_avx2}
                                           : Kernels{product_plain, distance_plain, next_plain};

bool is_nearer(const Neighbour& a, const Neighbour& b) {
  return a.similarity != b.similarity ? a.similarity > b.similarity : a.row < b.row;
}

struct Candidate {
  std::uint32_t row;
  float score;
};

constexpr double kHuge = 1e37;  // scores beyond may overflow float32

}  // namespace

const std::vector<std::string>& metric_names() {
  static const std::vector<std::string> all = {"cosine", "euclidean"};
  return all;
}

Metric metric_from(std::string_view name) {
  const auto found = std::find(metric_names().begin(), metric_names().end(), name);
  if (found == metric_names().end())
    throw Error(fmt::format("metric '{}': expected cosine or euclidean", name));
  return static_cast<Metric>(found - metric_names().begin());
}

double exact_similarity(Metric metric, const float* a, const float* b, std::size_t dim) {
  return metric == Metric::Cosine ? kKernels.product(a, b, dim) : -kKernels.squared_distance(a, b, dim);
}

/// The candidates of one query, by score: the scalar product, for Euclidean less half the row's square, which
/// falls as the distance grows.
class ExactIndex::Best {
 public:
  Best(const ExactIndex& index, const float* query, std::size_t k, RowRange excluded)
      : index_(index),
        query_(query),
        k_(k),
        excluded_(excluded),
        capacity_(std::max<std::size_t>(4 * k, 64)) {
    query_square_ = kKernels.product(query, query, index.dim_);
    const double length = std::sqrt(query_square_);
    // Of a float32 scalar product, in any order of summation (Higham 2002, section 3.1), of what is taken
    // away from it, and of products that underflow.
    const double dim = static_cast<double>(index.dim_) + 10;
    const double error =
        6e-8 * (dim * length * index.longest_ + 2 * index.longest_ * index.longest_) + 1.2e-38 * dim;
    by_brute_force_ = !((length + index.longest_) * index.longest_ < kHuge);
    error_ = static_cast<float>(error) * 1.0001F;
    candidates_.reserve(by_brute_force_ ? 0 : capacity_);
  }

  /// Scores of the rows from `first` on; `less`, unless null, is taken away from them. Most are below the
  /// threshold: whole groups are passed over by one branch.
  void offer(std::size_t first, const float* scores, const float* less, std::size_t count) {
    if (by_brute_force_) return;
    const std::size_t groups = count / kGroup;
    for (std::size_t g = 0; (g = kKernels.next_group(scores, less, g, groups, threshold_)) < groups; ++g)
      for (std::size_t i = g * kGroup; i < (g + 1) * kGroup; ++i) take(first + i, scores, less, i);
    for (std::size_t i = groups * kGroup; i < count; ++i) take(first + i, scores, less, i);
  }

  void finish(Neighbour* out) {
    if (by_brute_force_) take_all();
    prune();
    const std::vector<Neighbour> best = decide();
    std::copy(best.begin(), best.end(), out);
    std::fill(out + best.size(), out + k_, Neighbour{kNoRow, -std::numeric_limits<double>::infinity()});
  }

 private:
  void take(std::size_t at, const float* scores, const float* less, std::size_t i) {
    const float score = less == nullptr ? scores[i] : scores[i] - less[i];
    const auto row = static_cast<std::uint32_t>(at);
    if (score < threshold_ || excluded_.contains(row)) return;
    candidates_.push_back({row, score});
    if (candidates_.size() == capacity_) shrink();
  }

  void take_all() {
    for (std::size_t r = 0; r < index_.count_; ++r) {
      const auto row = static_cast<std::uint32_t>(r);
      if (!excluded_.contains(row)) candidates_.push_back({row, 0});
    }
  }

  void shrink() {
    prune();
    if (2 * candidates_.size() <= capacity_) return;
    // Too many within the error of the product: settle them now.
    const std::vector<Neighbour> best = decide();
    std::vector<Candidate> kept;
    kept.reserve(capacity_);
    for (const Neighbour& n : best) kept.push_back({n.row, score_of(n)});
    candidates_ = std::move(kept);
    threshold_ = std::max(threshold_, score_of(best.back()) - 2 * error_);
  }

  float score_of(const Neighbour& n) const {
    return static_cast<float>(index_.metric_ == Metric::Cosine ? n.similarity
                                                               : (query_square_ + n.similarity) / 2);
  }

  /// Drops what cannot be among the k best: k others are better by more than both errors.
  void prune() {
    if (candidates_.size() <= k_) return;
    const auto kth = candidates_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
    std::nth_element(candidates_.begin(), kth, candidates_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    threshold_ = std::max(threshold_, kth->score - 2 * error_);
    std::erase_if(candidates_, [&](const Candidate& c) { return c.score < threshold_; });
  }

  std::vector<Neighbour> decide() const {
    std::vector<Neighbour> all;
    all.reserve(candidates_.size());
    for (const Candidate& c : candidates_) {
      all.push_back({c.row, exact_similarity(index_.metric_, query_, index_.row(c.row), index_.dim_)});
    }
    const std::size_t keep = std::min(k_, all.size());
    std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(keep), all.end(), is_nearer);
    all.resize(keep);
    return all;
  }

  const ExactIndex& index_;
  const float* query_;
  std::size_t k_;
  RowRange excluded_;
  std::size_t capacity_;
  double query_square_ = 0;
  float error_ = 0;
  bool by_brute_force_ = false;
  float threshold_ = -std::numeric_limits<float>::infinity();
  std::vector<Candidate> candidates_;
};

ExactIndex::ExactIndex(std::vector<float> rows, std::size_t dim, Metric metric)
    : rows_(std::move(rows)), dim_(dim), count_(dim == 0 ? 0 : rows_.size() / dim), metric_(metric) {
  if (count_ > kNoRow)
    throw Error(fmt::format("{} rows to search among: expected at most {}", count_, kNoRow));
  if (metric == Metric::Euclidean) half_squares_.resize(count_);
  double most = 0;
  for (std::size_t r = 0; r < count_; ++r) {
    const double square = kKernels.product(row(r), row(r), dim_);
    most = std::max(most, square);
    if (metric == Metric::Euclidean) half_squares_[r] = static_cast<float>(square / 2);
  }
  longest_ = std::sqrt(most);
}

std::vector<Neighbour> ExactIndex::search(std::span<const float> queries, std::size_t k,
                                          std::span<const RowRange> excluded) const {
  const std::size_t count = dim_ == 0 ? 0 : queries.size() / dim_;
  k = std::min(k, count_);
  std::vector<Neighbour> out(count * k);
  if (k == 0) return out;
  std::vector<float> scores(std::min(kQueryTile, count) * std::min(kRowTile, count_));
  for (std::size_t q = 0; q < count; q += kQueryTile) {
    search_tile(queries.subspan(q * dim_, std::min(kQueryTile, count - q) * dim_), k,
                excluded.empty() ? nullptr : excluded.data() + q, scores, out.data() + q * k);
  }
  return out;
}

void ExactIndex::search_tile(std::span<const float> queries, std::size_t k, const RowRange* excluded,
                             std::vector<float>& scores, Neighbour* out) const {
  const std::size_t count = queries.size() / dim_;
  std::vector<Best> best;
  best.reserve(count);
  for (std::size_t q = 0; q < count; ++q) {
    best.emplace_back(*this, queries.data() + q * dim_, k, excluded == nullptr ? RowRange{} : excluded[q]);
  }
  for (std::size_t first = 0; first < count_; first += kRowTile) {
    const std::size_t rows = std::min(kRowTile, count_ - first);
    multiply_nt({queries.data(), count, dim_}, {row(first), rows, dim_}, {scores.data(), count, rows});
    const float* less = half_squares_.empty() ? nullptr : half_squares_.data() + first;
    for (std::size_t q = 0; q < count; ++q) best[q].offer(first, scores.data() + q * rows, less, rows);
  }
  for (std::size_t q = 0; q < count; ++q) best[q].finish(out + q * k);
}

void ExactIndex::similarities(const float* query, std::span<double> out) const {
  for (std::size_t r = 0; r < count_; ++r) out[r] = exact_similarity(metric_, query, row(r), dim_);
}

}  // namespace graft::linalg
