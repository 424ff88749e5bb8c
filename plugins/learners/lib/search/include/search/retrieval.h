#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include <graft/predictor.h>

#include <search/neighbours.h>

namespace graft::search {

/// How well rows are found by a query of their class. A row is relevant when it has the query's label; R is
/// the number of rows that are relevant to a query, P(i) the fraction of relevant ones among its i most
/// similar. Each figure is the mean over the queries for which some row is relevant; without such queries
/// there is none:
///
///     hit_rate_at[k]          1 when one of the k most similar rows is relevant, else 0
///     precision_at[k]         P(k)
///     recall_at[k]            relevant rows among the k most similar, divided by R
///     map_at_r                1/R sum over i <= R with a relevant row at rank i of P(i)
///     mean_average_precision  1/R sum over all i with a relevant row at rank i of P(i)
///
/// MAP@R is of Musgrave et al. 2020, "A metric learning reality check".
/// Ties go to the lower row.
struct Retrieval {
  std::size_t queries = 0;  ///< That count: some row is relevant.
  std::size_t lone = 0;     ///< Queries without a relevant row; they are left out.
  std::map<std::size_t, double> hit_rate_at, precision_at, recall_at;
  double map_at_r = 0;
  double mean_average_precision = 0;

  Value summary() const;  ///< {"queries", "lone_queries", "hit_rate_at_1", ...}
};

struct RetrievalQueries {
  std::span<const float> rows;  ///< Row-major, count x index.dim().
  std::span<const std::int32_t> labels;
  std::span<const RowRange> excluded;  ///< Rows that a query must not see, or empty.
};

/// `labels` are those of the index. Figures for a k above the number of rows that every query sees are left
/// out. Over the whole ranking, in double: meant for some thousands of queries at most. Goes twice over the
/// rows of the index for as many queries as have 13 million relevant rows together (256 MiB).
Retrieval retrieval(const ExactIndex& index, std::span<const std::int32_t> labels,
                    const RetrievalQueries& queries, const std::vector<std::size_t>& ks, Parallel& parallel);

}  // namespace graft::search
