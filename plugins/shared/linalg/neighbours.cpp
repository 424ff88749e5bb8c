#include "linalg/neighbours.h"

#include <algorithm>
#include <array>
#include <limits>

#include "linalg/blas.h"

namespace graft::linalg {
namespace {

constexpr std::size_t kQueryTile = 128;
constexpr std::size_t kRowTile = 1024;

/// Scalar product in double, always added up in the same order.
double exact_similarity(const float* a, const float* b, std::size_t dim) {
  constexpr std::size_t kLanes = 16;  // independent sums, so that the loop fills the vector units
  std::array<double, kLanes> sums{};
  std::size_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    for (std::size_t i = 0; i < kLanes; ++i) sums[i] += static_cast<double>(a[d + i]) * b[d + i];
  }
  for (std::size_t i = 0; d < dim; ++d, ++i) sums[i] += static_cast<double>(a[d]) * b[d];
  double sum = 0;
  for (const double s : sums) sum += s;
  return sum;
}

/// Bound on the error of a float32 scalar product of two unit vectors, in any order of summation (Higham
/// 2002, section 3.1), with room for lengths that are 1 only after rounding.
float product_error(std::size_t dim) {
  return 6e-8F * static_cast<float>(dim + 8);
}

struct Candidate {
  std::uint32_t row;
  float score;
};

}  // namespace

/// The candidates of one query. Holds at most `capacity` of them.
class CosineIndex::Best {
 public:
  Best(const CosineIndex& index, const float* query, std::size_t k)
      : index_(index),
        query_(query),
        k_(k),
        capacity_(std::max<std::size_t>(4 * k, 64)),
        error_(product_error(index.dim_)) {
    candidates_.reserve(capacity_);
  }

  void offer(std::size_t first, const float* scores, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      if (!(scores[i] >= threshold_)) continue;
      candidates_.push_back({static_cast<std::uint32_t>(first + i), scores[i]});
      if (candidates_.size() == capacity_) shrink();
    }
  }

  void finish(Neighbour* out) {
    prune();
    const std::vector<Neighbour> best = decide();
    std::copy(best.begin(), best.end(), out);
  }

 private:
  void shrink() {
    prune();
    if (2 * candidates_.size() <= capacity_) return;
    // Too many within the error of the product: settle them now.
    const std::vector<Neighbour> best = decide();
    std::vector<Candidate> kept;
    kept.reserve(capacity_);
    for (const Neighbour& n : best) kept.push_back({n.row, static_cast<float>(n.similarity)});
    candidates_ = std::move(kept);
    threshold_ = std::max(threshold_, static_cast<float>(best.back().similarity) - 2 * error_);
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
      all.push_back(
          {c.row, exact_similarity(query_, index_.rows_.data() + c.row * index_.dim_, index_.dim_)});
    }
    const std::size_t keep = std::min(k_, all.size());
    std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(keep), all.end(),
                      [](const Neighbour& a, const Neighbour& b) {
                        return a.similarity != b.similarity ? a.similarity > b.similarity : a.row < b.row;
                      });
    all.resize(keep);
    return all;
  }

  const CosineIndex& index_;
  const float* query_;
  std::size_t k_;
  std::size_t capacity_;
  float error_;
  float threshold_ = -std::numeric_limits<float>::infinity();
  std::vector<Candidate> candidates_;
};

CosineIndex::CosineIndex(std::vector<float> rows, std::size_t dim)
    : rows_(std::move(rows)), dim_(dim), count_(dim == 0 ? 0 : rows_.size() / dim) {}

std::vector<Neighbour> CosineIndex::search(std::span<const float> queries, std::size_t k) const {
  const std::size_t count = dim_ == 0 ? 0 : queries.size() / dim_;
  k = std::min(k, count_);
  std::vector<Neighbour> out(count * k);
  if (k == 0) return out;
  std::vector<float> scores(std::min(kQueryTile, count) * std::min(kRowTile, count_));
  for (std::size_t q = 0; q < count; q += kQueryTile) {
    search_tile(queries.data() + q * dim_, std::min(kQueryTile, count - q), k, scores, out.data() + q * k);
  }
  return out;
}

void CosineIndex::search_tile(const float* queries, std::size_t count, std::size_t k,
                              std::vector<float>& scores, Neighbour* out) const {
  std::vector<Best> best;
  best.reserve(count);
  for (std::size_t q = 0; q < count; ++q) best.emplace_back(*this, queries + q * dim_, k);
  for (std::size_t first = 0; first < count_; first += kRowTile) {
    const std::size_t rows = std::min(kRowTile, count_ - first);
    multiply_nt({queries, count, dim_}, {rows_.data() + first * dim_, rows, dim_},
                {scores.data(), count, rows});
    for (std::size_t q = 0; q < count; ++q) best[q].offer(first, scores.data() + q * rows, rows);
  }
  for (std::size_t q = 0; q < count; ++q) best[q].finish(out + q * k);
}

}  // namespace graft::linalg
