#include "similarity/retrieval.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "linalg/blas.h"

namespace graft {
namespace {

constexpr std::size_t kQueryBlock = 64;
constexpr std::size_t kRowTile = 512;

struct Ranked {
  double similarity;
  std::uint32_t row;
  bool before(const Ranked& other) const {
    return similarity != other.similarity ? similarity > other.similarity : row < other.row;
  }
};

/// How many of some falling numbers are above a limit. Written so that no step is a branch to be guessed
/// wrong.
std::size_t count_above(const std::vector<double>& falling, double limit) {
  std::size_t at = 0;
  for (std::size_t left = falling.size(); left > 0;) {
    const std::size_t half = (left + 1) / 2;
    at += falling[at + half - 1] > limit ? half : 0;
    left -= half;
  }
  return at;
}

/// Sums over queries; the maps of Retrieval as vectors by position in ks.
struct Sums {
  std::size_t queries = 0, lone = 0;
  std::vector<double> hits, precision, recall;
  double map_at_r = 0, average_precision = 0;
};

class Ranking {
 public:
  Ranking(const linalg::ExactIndex& index, std::span<const std::int32_t> labels,
          const std::vector<std::size_t>& ks)
      : index_(index), labels_(labels), ks_(ks), half_squares_(index.size()) {
    for (std::size_t r = 0; r < index.size(); ++r) {
      const double square =
          linalg::exact_similarity(linalg::Metric::Cosine, index.row(r), index.row(r), index.dim());
      longest_ = std::max(longest_, std::sqrt(square));
      half_squares_[r] = square / 2;
    }
  }

  /// Similarities of some queries to all rows from a product in double: right but for rounding.
  std::vector<double> nearly(const float* queries, std::size_t count) const {
    const std::size_t n = index_.size();
    const std::size_t dim = index_.dim();
    const std::vector<double> q(queries, queries + count * dim);
    std::vector<double> out(count * n), tile;
    for (std::size_t first = 0; first < n; first += kRowTile) {
      const std::size_t rows = std::min(kRowTile, n - first);
      tile.assign(index_.row(first), index_.row(first) + rows * dim);
      linalg::multiply_nt({q.data(), count, dim}, {tile.data(), rows, dim},
                          {out.data() + first, count, rows, n});
    }
    if (index_.metric() == linalg::Metric::Cosine) return out;
    for (std::size_t i = 0; i < count; ++i) {
      const double half = square(queries + i * dim) / 2;
      for (std::size_t r = 0; r < n; ++r) out[i * n + r] = 2 * (out[i * n + r] - half_squares_[r] - half);
    }
    return out;
  }

  /// Adds one query. Only the ranks of its relevant rows matter: they are sorted by exact similarity, and
  /// every other row is counted in before those that it is nearer than.
  void add(const float* query, std::int32_t label, linalg::RowRange excluded, const double* nearly,
           Sums& sums) const {
    std::vector<Ranked> relevant;
    for (std::uint32_t r = 0; r < index_.size(); ++r) {
      if (labels_[r] == label && !excluded.contains(r)) relevant.push_back(exactly(query, r));
    }
    if (relevant.empty()) {
      ++sums.lone;
      return;
    }
    std::sort(relevant.begin(), relevant.end(), [](const Ranked& a, const Ranked& b) { return a.before(b); });
    const double rounding =
        1e-13 * longest_ * (std::sqrt(square(query)) + longest_) * std::sqrt(index_.dim());
    std::vector<double> falling(relevant.size());
    std::transform(relevant.begin(), relevant.end(), falling.begin(),
                   [](const Ranked& r) { return r.similarity; });
    std::vector<std::size_t> behind(relevant.size() +
                                    1);  // other rows by how many relevant ones are before them
    for (std::uint32_t r = 0; r < index_.size(); ++r) {
      if (labels_[r] == label || excluded.contains(r)) continue;
      ++behind[place(query, r, nearly[r], rounding, relevant, falling)];
    }
    count(relevant.size(), behind, sums);
  }

 private:
  Ranked exactly(const float* query, std::uint32_t r) const {
    return {linalg::exact_similarity(index_.metric(), query, index_.row(r), index_.dim()), r};
  }
  double square(const float* query) const {
    return linalg::exact_similarity(linalg::Metric::Cosine, query, query, index_.dim());
  }

  /// How many relevant rows come before row r.
  std::size_t place(const float* query, std::uint32_t r, double nearly, double rounding,
                    const std::vector<Ranked>& relevant, const std::vector<double>& falling) const {
    const std::size_t at = count_above(falling, nearly + rounding);
    if (at == falling.size() || falling[at] < nearly - rounding) return at;
    const Ranked exact = exactly(query, r);
    return static_cast<std::size_t>(std::partition_point(relevant.begin(), relevant.end(),
                                                         [&](const Ranked& a) { return a.before(exact); }) -
                                    relevant.begin());
  }

  void count(std::size_t relevant, const std::vector<std::size_t>& behind, Sums& sums) const {
    ++sums.queries;
    const auto all = static_cast<double>(relevant);
    std::vector<std::size_t> within(ks_.size());
    std::size_t others = 0;
    double precisions = 0, up_to_r = 0;
    for (std::size_t j = 0; j < relevant; ++j) {
      others += behind[j];
      const std::size_t rank = j + 1 + others;
      const double precision = static_cast<double>(j + 1) / static_cast<double>(rank);
      precisions += precision;
      if (rank <= relevant) up_to_r += precision;
      for (std::size_t i = 0; i < ks_.size(); ++i) within[i] += rank <= ks_[i] ? 1 : 0;
    }
    sums.average_precision += precisions / all;
    sums.map_at_r += up_to_r / all;
    for (std::size_t i = 0; i < ks_.size(); ++i) {
      sums.hits[i] += within[i] > 0 ? 1 : 0;
      sums.precision[i] += static_cast<double>(within[i]) / static_cast<double>(ks_[i]);
      sums.recall[i] += static_cast<double>(within[i]) / all;
    }
  }

  const linalg::ExactIndex& index_;
  std::span<const std::int32_t> labels_;
  const std::vector<std::size_t>& ks_;
  std::vector<double> half_squares_;
  double longest_ = 0;
};

}  // namespace

Retrieval retrieval(const linalg::ExactIndex& index, std::span<const std::int32_t> labels,
                    const RetrievalQueries& queries, const std::vector<std::size_t>& ks, Parallel& parallel) {
  std::uint32_t hidden = 0;
  for (const linalg::RowRange& range : queries.excluded) hidden = std::max(hidden, range.end - range.begin);
  std::vector<std::size_t> used;
  for (const std::size_t k : ks) {
    if (k + hidden <= index.size()) used.push_back(k);
  }
  const Ranking ranking(index, labels, used);
  const std::size_t n = queries.labels.size();
  std::vector<Sums> parts((n + kQueryBlock - 1) / kQueryBlock);
  parallel.for_each(parts.size(), [&](std::size_t b) {
    Sums& sums = parts[b];
    for (auto* v : {&sums.hits, &sums.precision, &sums.recall}) v->assign(used.size(), 0);
    const std::size_t first = b * kQueryBlock;
    const std::size_t count = std::min(kQueryBlock, n - first);
    const float* block = queries.rows.data() + first * index.dim();
    const std::vector<double> nearly = ranking.nearly(block, count);
    for (std::size_t q = 0; q < count; ++q) {
      ranking.add(block + q * index.dim(), queries.labels[first + q],
                  queries.excluded.empty() ? linalg::RowRange{} : queries.excluded[first + q],
                  nearly.data() + q * index.size(), sums);
    }
  });
  Retrieval out;
  for (const Sums& part : parts) {
    out.queries += part.queries;
    out.lone += part.lone;
  }
  if (out.queries == 0) return out;
  const double share = 1 / static_cast<double>(out.queries);
  for (const Sums& part : parts) {
    out.map_at_r += part.map_at_r * share;
    out.mean_average_precision += part.average_precision * share;
    for (std::size_t i = 0; i < used.size(); ++i) {
      out.hit_rate_at[used[i]] += part.hits[i] * share;
      out.precision_at[used[i]] += part.precision[i] * share;
      out.recall_at[used[i]] += part.recall[i] * share;
    }
  }
  return out;
}

Value Retrieval::summary() const {
  Value v = Value::map();
  v["queries"] = static_cast<std::int64_t>(queries);
  v["lone_queries"] = static_cast<std::int64_t>(lone);
  if (queries == 0) return v;
  for (const auto& [name, figures] :
       {std::pair{"hit_rate_at", &hit_rate_at}, std::pair{"precision_at", &precision_at},
        std::pair{"recall_at", &recall_at}}) {
    for (const auto& [k, figure] : *figures) v[fmt::format("{}_{}", name, k)] = figure;
  }
  v["map_at_r"] = map_at_r;
  v["mean_average_precision"] = mean_average_precision;
  return v;
}

}  // namespace graft
