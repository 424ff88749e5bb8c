#include <search/retrieval.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <numeric/blas.h>

namespace graft::search {
namespace {

constexpr std::size_t kQueryBlock = 64;
constexpr std::size_t kRowTile = 512;
constexpr std::size_t kGroupBytes = std::size_t{256} << 20;  // of the queries that are ranked together

struct Ranked {
  double similarity;
  std::uint32_t row;
  bool before(const Ranked& other) const {
    return similarity != other.similarity ? similarity > other.similarity : row < other.row;
  }
};

/// Falling numbers, and how many of them are above a limit: looked for in one of as many buckets of equal
/// width as there are numbers, because a search among all of them would miss the cache at every step.
class Falling {
 public:
  Falling() = default;
  explicit Falling(std::vector<double> values) : values_(std::move(values)) {
    const std::size_t n = values_.size();
    if (n == 0) return;
    buckets_per_unit_ = static_cast<double>(n) / (values_.front() - values_.back());
    starts_.reserve(n + 1);
    for (std::size_t i = 0; i < n; ++i)
      while (starts_.size() <= bucket(values_[i])) starts_.push_back(static_cast<std::uint32_t>(i));
    starts_.resize(n + 1, static_cast<std::uint32_t>(n));
  }

  std::size_t size() const { return values_.size(); }
  double operator[](std::size_t i) const { return values_[i]; }
  /// There must be numbers.
  std::size_t count_above(double limit) const {
    // Buckets follow one another as the numbers do: those before this one are above the limit, those after
    // are not.
    const std::size_t b = bucket(limit);
    std::size_t at = starts_[b];
    for (std::size_t left = starts_[b + 1] - at; left > 0;) {  // no step is a branch to be guessed wrong
      const std::size_t half = (left + 1) / 2;
      at += values_[at + half - 1] > limit ? half : 0;
      left -= half;
    }
    return at;
  }

 private:
  /// Never falls as `value` does, rounding and numbers that are all equal included.
  std::size_t bucket(double value) const {
    const double at = (values_.front() - value) * buckets_per_unit_;
    if (!(at > 0)) return 0;
    const auto last = static_cast<double>(values_.size() - 1);
    return static_cast<std::size_t>(std::min(at, last));
  }

  std::vector<double> values_;
  double buckets_per_unit_ = 0;
  std::vector<std::uint32_t> starts_;  ///< Of every bucket, and the end of the last.
};

/// Sums over queries; the maps of Retrieval as vectors by position in ks.
struct Sums {
  std::size_t queries = 0, lone = 0;
  std::vector<double> hits, precision, recall;
  double map_at_r = 0, average_precision = 0;
};

/// One query, and where its relevant rows are in the ranking of all rows. Only their ranks matter: they are
/// sorted by exact similarity, and every other row is counted in before those that it is nearer than.
class Ranking {
 public:
  /// `rows`: of the label, in the index.
  Ranking(const ExactIndex& index, const float* query, std::int32_t label, std::size_t rows,
          RowRange excluded)
      : index_(index),
        query_(query),
        label_(label),
        excluded_(excluded),
        half_square_(scalar_product(query, query, index.dim()) / 2) {
    rounding_ = 1e-13 * index.longest() * (std::sqrt(2 * half_square_) + index.longest()) *
                std::sqrt(static_cast<double>(index.dim()));
    relevant_.reserve(rows);
  }
  /// Bytes that it holds.
  static std::size_t bytes(std::size_t rows) { return rows * (sizeof(double) + 3 * sizeof(std::uint32_t)); }

  /// First all rows, part by part, for the relevant ones among them.
  void find_relevant(std::size_t first, std::size_t count, const float* rows,
                     std::span<const std::int32_t> labels) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto r = static_cast<std::uint32_t>(first + i);
      if (labels[r] == label_ && !excluded_.contains(r))
        relevant_.push_back({similarity_of(rows + i * index_.dim()), r});
    }
  }
  void sort_relevant() {
    std::sort(relevant_.begin(), relevant_.end(),
              [](const Ranked& a, const Ranked& b) { return a.before(b); });
    std::vector<double> similarities;
    similarities.reserve(relevant_.size());
    rows_.reserve(relevant_.size());
    for (const Ranked& r : relevant_) {
      similarities.push_back(r.similarity);
      rows_.push_back(r.row);
    }
    std::vector<Ranked>().swap(relevant_);
    falling_ = Falling(std::move(similarities));
    behind_.resize(falling_.size() + 1);
  }

  /// Then all rows again: `products` with the query in double, right but for rounding, and
  /// `half_squares` of the rows; null where only directions count.
  void count_others(std::size_t first, std::size_t count, const float* rows,
                    std::span<const std::int32_t> labels, const double* products,
                    const double* half_squares) {
    if (rows_.empty()) return;
    for (std::size_t i = 0; i < count; ++i) {
      const auto r = static_cast<std::uint32_t>(first + i);
      if (labels[r] == label_ || excluded_.contains(r)) continue;
      const double half_square = half_squares == nullptr ? 0 : half_squares[i];
      const double nearly = index_.metric().similarity(products[i], half_square, half_square_);
      ++behind_[place(r, rows + i * index_.dim(), nearly)];
    }
  }

  void add_to(Sums& sums, const std::vector<std::size_t>& ks) const {
    if (rows_.empty()) {
      ++sums.lone;
      return;
    }
    ++sums.queries;
    const auto all = static_cast<double>(falling_.size());
    std::vector<std::size_t> within(ks.size());
    std::size_t others = 0;
    double precisions = 0, up_to_r = 0;
    for (std::size_t j = 0; j < falling_.size(); ++j) {
      others += behind_[j];
      const std::size_t rank = j + 1 + others;
      const double precision = static_cast<double>(j + 1) / static_cast<double>(rank);
      precisions += precision;
      if (rank <= falling_.size()) up_to_r += precision;
      for (std::size_t i = 0; i < ks.size(); ++i) within[i] += rank <= ks[i] ? 1 : 0;
    }
    sums.average_precision += precisions / all;
    sums.map_at_r += up_to_r / all;
    for (std::size_t i = 0; i < ks.size(); ++i) {
      sums.hits[i] += within[i] > 0 ? 1 : 0;
      sums.precision[i] += static_cast<double>(within[i]) / static_cast<double>(ks[i]);
      sums.recall[i] += static_cast<double>(within[i]) / all;
    }
  }

 private:
  double similarity_of(const float* row) const {
    return index_.metric().similarity(query_, row, index_.dim());
  }

  /// How many relevant rows come before a row.
  std::size_t place(std::uint32_t r, const float* row, double nearly) const {
    const std::size_t at = falling_.count_above(nearly + rounding_);
    if (at == falling_.size() || falling_[at] < nearly - rounding_) return at;
    const double exact = similarity_of(row);
    const auto above = rows_.begin() + static_cast<std::ptrdiff_t>(falling_.count_above(exact));
    const auto equal = std::partition_point(above, rows_.end(), [&](const std::uint32_t& other) {
      return falling_[&other - rows_.data()] == exact;
    });
    return static_cast<std::size_t>(std::lower_bound(above, equal, r) - rows_.begin());
  }

  const ExactIndex& index_;
  const float* query_;
  std::int32_t label_;
  RowRange excluded_;
  double half_square_;
  double rounding_;
  std::vector<Ranked> relevant_;       ///< Until they are sorted; then
  Falling falling_;                    ///< their similarities, and
  std::vector<std::uint32_t> rows_;    ///< which rows they are.
  std::vector<std::uint32_t> behind_;  ///< Other rows by how many relevant ones are before them.
};

/// Ranks the queries [first, end), which fit in memory together, with two passes over the rows.
std::vector<Ranking> rank(const ExactIndex& index, std::span<const std::int32_t> labels,
                          const std::map<std::int32_t, std::size_t>& rows_of, const RetrievalQueries& queries,
                          std::size_t first, std::size_t end, Parallel& parallel) {
  const std::size_t dim = index.dim(), count = end - first;
  const float* const features = queries.rows.data() + first * dim;
  std::vector<Ranking> out;
  for (std::size_t q = first; q < end; ++q)
    out.emplace_back(index, queries.rows.data() + q * dim, queries.labels[q], rows_of.at(queries.labels[q]),
                     queries.excluded.empty() ? RowRange{} : queries.excluded[q]);
  // Blocks of queries, each for all rows of a part, which they go over in tiles that stay in the cache.
  const auto threads = static_cast<std::size_t>(parallel.threads());
  const std::size_t block = std::clamp<std::size_t>((count + threads - 1) / threads, 1, kQueryBlock);
  const auto for_each_block = [&](const auto& body) {
    index.for_each_part(parallel, [&](std::size_t begin, std::size_t in_part, const float* part) {
      parallel.for_each((count + block - 1) / block, [&](std::size_t b) {
        body(b * block, std::min(block, count - b * block), begin, in_part, part);
      });
    });
  };
  for_each_block(
      [&](std::size_t q, std::size_t n, std::size_t begin, std::size_t in_part, const float* part) {
        for (std::size_t at = 0; at < in_part; at += kRowTile)
          for (std::size_t i = q; i < q + n; ++i)
            out[i].find_relevant(begin + at, std::min(kRowTile, in_part - at), part + at * dim, labels);
      });
  parallel.for_each(count, [&](std::size_t q) { out[q].sort_relevant(); });
  for_each_block([&](std::size_t q, std::size_t n, std::size_t begin, std::size_t in_part,
                     const float* part) {
    const std::vector<double> wide(features + q * dim, features + (q + n) * dim);
    std::vector<double> wide_tile, products, half_squares;
    for (std::size_t at = 0; at < in_part; at += kRowTile) {
      const std::size_t rows = std::min(kRowTile, in_part - at);
      const float* const tile = part + at * dim;
      wide_tile.assign(tile, tile + rows * dim);
      products.resize(n * rows);
      numeric::multiply_nt({wide.data(), n, dim}, {wide_tile.data(), rows, dim}, {products.data(), n, rows});
      half_squares.resize(index.metric().by_direction() ? 0 : rows);
      for (std::size_t r = 0; r < half_squares.size(); ++r) {
        const float* const row = tile + r * dim;
        half_squares[r] = scalar_product(row, row, dim) / 2;
      }
      for (std::size_t i = 0; i < n; ++i)
        out[q + i].count_others(begin + at, rows, tile, labels, products.data() + i * rows,
                                half_squares.empty() ? nullptr : half_squares.data());
    }
  });
  return out;
}

}  // namespace

Retrieval retrieval(const ExactIndex& index, std::span<const std::int32_t> labels,
                    const RetrievalQueries& queries, const std::vector<std::size_t>& ks, Parallel& parallel) {
  std::uint32_t hidden = 0;
  for (const RowRange& range : queries.excluded) hidden = std::max(hidden, range.end - range.begin);
  std::vector<std::size_t> used;
  for (const std::size_t k : ks) {
    if (k + hidden <= index.size()) used.push_back(k);
  }
  std::map<std::int32_t, std::size_t> rows_of;
  for (const std::int32_t label : labels) ++rows_of[label];
  const std::size_t n = queries.labels.size();
  std::vector<Sums> parts((n + kQueryBlock - 1) / kQueryBlock);
  for (Sums& sums : parts)
    for (auto* v : {&sums.hits, &sums.precision, &sums.recall}) v->assign(used.size(), 0);
  for (std::size_t first = 0, end = 0; first < n; first = end) {
    for (std::size_t bytes = 0; end < n; ++end) {
      bytes += Ranking::bytes(rows_of[queries.labels[end]]);
      if (bytes > kGroupBytes && end > first) break;
    }
    const std::vector<Ranking> ranked = rank(index, labels, rows_of, queries, first, end, parallel);
    for (std::size_t q = first; q < end; ++q) ranked[q - first].add_to(parts[q / kQueryBlock], used);
  }
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
  Value v = Value::Map{{"queries", static_cast<std::int64_t>(queries)},
                       {"lone_queries", static_cast<std::int64_t>(lone)}};
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

}  // namespace graft::search
