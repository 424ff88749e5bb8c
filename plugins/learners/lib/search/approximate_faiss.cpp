#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFFlat.h>

#include <algorithm>

#include <numeric/blas.h>
#include "approximate.h"

namespace graft::search {

// FAISS spreads its loops over OpenMP threads, and how a graph comes out depends on them: it works on one.
struct SearchIndex::Approximate::Parts {
  std::unique_ptr<faiss::IndexFlat> quantizer;
  std::unique_ptr<faiss::Index> index;
  bool one_by_one = false;
};

bool SearchIndex::Approximate::built_in() {
  return true;
}

SearchIndex::Approximate::Approximate(const ExactIndex& exact, const IndexChoice& choice,
                                      const std::vector<float>& centres)
    : parts(std::make_unique<Parts>()) {
  const numeric::OneThread one_thread;
  const auto dim = static_cast<int>(exact.dim());
  const auto count = static_cast<std::int64_t>(exact.size());
  const faiss::MetricType metric =
      exact.metric().by_direction() ? faiss::METRIC_INNER_PRODUCT : faiss::METRIC_L2;
  if (choice.kind == IndexChoice::Kind::Hnsw) {
    auto index = std::make_unique<faiss::IndexHNSWFlat>(dim, static_cast<int>(choice.links), metric);
    index->hnsw.efConstruction = static_cast<int>(choice.ef_construction);
    index->hnsw.efSearch = static_cast<int>(choice.ef_search);
    index->add(count, exact.rows().data());
    parts->index = std::move(index);
    return;
  }
  const std::size_t lists = centres.size() / exact.dim();
  parts->quantizer = std::make_unique<faiss::IndexFlat>(dim, metric);
  parts->quantizer->add(static_cast<std::int64_t>(lists), centres.data());
  auto index = std::make_unique<faiss::IndexIVFFlat>(parts->quantizer.get(), exact.dim(), lists, metric);
  index->is_trained = true;  // the centres are its training
  index->nprobe = std::min(choice.probes, lists);
  index->add(count, exact.rows().data());
  parts->index = std::move(index);
  // FAISS takes another kernel for a score of queries at once: the lists that are looked into could then
  // depend on what else is asked.
  parts->one_by_one = true;
}

SearchIndex::Approximate::~Approximate() = default;

std::vector<std::int64_t> SearchIndex::Approximate::search(std::span<const float> queries,
                                                           std::size_t k) const {
  const numeric::OneThread one_thread;
  const auto dim = static_cast<std::size_t>(parts->index->d);
  const std::size_t count = queries.size() / dim;
  const std::size_t together = parts->one_by_one ? 1 : count;
  std::vector<std::int64_t> rows(count * k);
  std::vector<float> scores(together * k);
  for (std::size_t q = 0; q < count; q += together) {
    parts->index->search(static_cast<std::int64_t>(together), queries.data() + q * dim,
                         static_cast<std::int64_t>(k), scores.data(), rows.data() + q * k);
  }
  return rows;
}

}  // namespace graft::search
