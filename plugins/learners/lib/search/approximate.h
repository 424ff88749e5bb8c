#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <search/neighbours.h>
#include <search/search_index.h>

namespace graft::search {

/// An index of FAISS over the rows of `exact`, of which it keeps a copy. In a build without FAISS there is no
/// way to make one.
struct SearchIndex::Approximate {
  static bool built_in();
  /// `centres`: Ivf only, those of the lists.
  Approximate(const ExactIndex& exact, const IndexChoice& choice, const std::vector<float>& centres);
  ~Approximate();

  /// `k` rows a query, -1 in the place of those that were not found; in no order that matters.
  std::vector<std::int64_t> search(std::span<const float> queries, std::size_t k) const;

  struct Parts;
  std::unique_ptr<Parts> parts;
};

}  // namespace graft::search
