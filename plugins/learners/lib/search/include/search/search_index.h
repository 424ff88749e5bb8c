#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <graft/params.h>
#include <graft/predictor.h>

#include <search/neighbours.h>

namespace graft::search {

/// How rows are searched: exactly, or approximately by FAISS (Johnson et al. 2019), where it was there when
/// this was built.
struct IndexChoice {
  enum class Kind { Exact, Ivf, Hnsw };
  Kind kind = Kind::Exact;
  std::optional<std::size_t> lists = {};  ///< Ivf: inverted lists; left out: the square root of the rows.
  std::size_t probes = 8;                 ///< Ivf: lists that a query looks into.
  std::size_t links = 32;                 ///< Hnsw: links of a row in each layer (M).
  std::size_t ef_construction = 40;       ///< Hnsw: candidates while the graph is built.
  std::size_t ef_search = 64;             ///< Hnsw: candidates while it is searched.

  /// The stage parameter `index`.
  static ParamSpec spec();
  /// Reads it. Throws Error when FAISS is needed and was not built in.
  static IndexChoice from(const Params& params);

  const char* name() const;  ///< "exact", "ivf", "hnsw"
  bool operator==(const IndexChoice&) const = default;
};

/// Nearest rows with the answers of ExactIndex, or nearly so. What an approximate index finds is
/// ordered by exact similarity; where it finds fewer rows than there are to find, the query is answered
/// exactly. Building and searching depend on nothing but the rows and the seed: the same bits for any number
/// of threads. Immutable; any thread.
class SearchIndex {
 public:
  /// `rows` must be in memory but for IndexChoice::Kind::Exact.
  SearchIndex(ExactIndex rows, const IndexChoice& choice, std::uint64_t seed, Parallel& parallel);
  SearchIndex(SearchIndex&&) noexcept;
  ~SearchIndex();

  const ExactIndex& exact() const { return exact_; }
  const IndexChoice& choice() const { return choice_; }
  /// As ExactIndex::search.
  std::vector<Neighbour> search(std::span<const float> queries, std::size_t k,
                                std::span<const RowRange> excluded, Parallel& parallel) const;

  /// Fraction of the k exact neighbours of the queries that the index finds.
  double recall(std::span<const float> queries, std::size_t k, std::span<const RowRange> excluded,
                Parallel& parallel) const;

  /// Facts and tensors whose names begin with "index", but for the rows themselves.
  void save(Bundle& bundle) const;
  /// Rebuilds the index of a bundle around the rows, which an exact one holds in memory up to
  /// `cache_bytes`, others in any case. Throws Error when FAISS is needed and was not built in, and naming
  /// what is missing or mis-shaped.
  static SearchIndex load(const Bundle& bundle, std::shared_ptr<const TensorReader> rows, Metric metric,
                          std::size_t cache_bytes);

  struct Approximate;

 private:
  SearchIndex(ExactIndex rows, const IndexChoice& choice, std::vector<float> centres);
  void build();
  bool answer(std::size_t query, std::span<const std::int64_t> proposed, std::span<const float> queries,
              std::size_t k, RowRange excluded, Neighbour* out) const;

  ExactIndex exact_;
  IndexChoice choice_;
  std::vector<float> centres_;  ///< Ivf: row-major lists x dim.
  std::unique_ptr<Approximate> approximate_;
};

}  // namespace graft::search
