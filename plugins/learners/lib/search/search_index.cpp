#include <search/search_index.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <graft/error.h>

#include <learning/bundle.h>
#include <learning/features.h>
#include <search/kmeans.h>
#include "approximate.h"

namespace graft::search {
namespace {

constexpr std::size_t kTogether = 64;  // queries that FAISS is asked at once
constexpr int kMostLinks = 512, kMostCandidates = 100'000;

void expect_faiss(const IndexChoice& choice) {
  if (choice.kind == IndexChoice::Kind::Exact || SearchIndex::Approximate::built_in()) return;
  throw Error(fmt::format(
      "index: {} needs FAISS, which this build of graft is without: install libfaiss-dev, configure "
      "again (rm build/*/CMakeCache.txt) and build, or take index: exact",
      choice.name()));
}

std::size_t list_count(const IndexChoice& choice, std::size_t rows) {
  const auto root = static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(rows))));
  return std::clamp<std::size_t>(choice.lists.value_or(root), 1, rows);
}

}  // namespace

ParamSpec IndexChoice::spec() {
  ParamSpec spec =
      one_of("index",
             {object("exact", {}).doc("Every row is compared with."),
              object("ivf", {integer("nlist")
                                 .range(1, 1000000)
                                 .optional()
                                 .unit("lists")
                                 .doc("Inverted lists; default: the square root of the number of rows."),
                             integer("nprobe", 8)
                                 .range(1, 1000000)
                                 .unit("lists")
                                 .doc("Lists that a query looks into: more find more, and take longer.")})
                  .doc("FAISS: rows in lists by k-means; only the nearest lists are looked into."),
              object("hnsw", {integer("m", 32)
                                  .range(2, kMostLinks)
                                  .unit("links")
                                  .doc("Links of a row in each layer of the graph."),
                              integer("ef_construction", 40)
                                  .range(1, kMostCandidates)
                                  .unit("rows")
                                  .doc("Candidates while the graph is built."),
                              integer("ef_search", 64)
                                  .range(1, kMostCandidates)
                                  .unit("rows")
                                  .doc("Candidates while it is searched: more find more, and take longer.")})
                  .doc("FAISS: a graph of near rows that is walked through.")});
  spec.default_value = Value::map();
  spec.default_value["exact"] = Value::map();
  return spec.doc("How neighbours are searched for. What ivf and hnsw miss is in the summary, as recall.");
}

IndexChoice IndexChoice::from(const Params& params) {
  const auto& [name, value] = params.raw("index").as_map().at(0);
  const Params p(value);
  IndexChoice choice;
  if (name == "ivf") {
    choice.kind = Kind::Ivf;
    if (p.has("nlist")) choice.lists = p.get<std::size_t>("nlist");
    choice.probes = p.get<std::size_t>("nprobe");
  } else if (name == "hnsw") {
    choice.kind = Kind::Hnsw;
    choice.links = p.get<std::size_t>("m");
    choice.ef_construction = p.get<std::size_t>("ef_construction");
    choice.ef_search = p.get<std::size_t>("ef_search");
  }
  expect_faiss(choice);
  return choice;
}

const char* IndexChoice::name() const {
  return kind == Kind::Exact ? "exact" : kind == Kind::Ivf ? "ivf" : "hnsw";
}

SearchIndex::SearchIndex(ExactIndex rows, const IndexChoice& choice, std::uint64_t seed, Parallel& parallel)
    : exact_(std::move(rows)), choice_(choice) {
  if (choice.kind == IndexChoice::Kind::Ivf && exact_.size() > 0) {
    constexpr int kIterations = 20;
    centres_ = k_means(exact_.rows(), exact_.dim(), list_count(choice, exact_.size()), exact_.metric(), seed,
                       parallel, kIterations)
                   .centres;
  }
  build();
}

SearchIndex::SearchIndex(ExactIndex rows, const IndexChoice& choice, std::vector<float> centres)
    : exact_(std::move(rows)), choice_(choice), centres_(std::move(centres)) {
  build();
}

SearchIndex::SearchIndex(SearchIndex&&) noexcept = default;
SearchIndex::~SearchIndex() = default;

void SearchIndex::build() {
  expect_faiss(choice_);
  if (choice_.kind != IndexChoice::Kind::Exact && exact_.size() > 0)
    approximate_ = std::make_unique<Approximate>(exact_, choice_, centres_);
}

std::vector<Neighbour> SearchIndex::search(std::span<const float> queries, std::size_t k,
                                           std::span<const RowRange> excluded, Parallel& parallel) const {
  if (!approximate_) return exact_.search(queries, k, excluded, parallel);
  const std::size_t dim = exact_.dim();
  const std::size_t count = queries.size() / dim;
  k = std::min(k, exact_.size());
  std::size_t hidden = 0;
  for (const RowRange& range : excluded) hidden = std::max<std::size_t>(hidden, range.end - range.begin);
  const std::size_t ask = std::min(k + hidden, exact_.size());
  std::vector<Neighbour> out(count * k);
  parallel.for_each((count + kTogether - 1) / kTogether, [&](std::size_t b) {
    Sequential within;
    const std::size_t first = b * kTogether, n = std::min(kTogether, count - first);
    const std::vector<std::int64_t> proposed =
        approximate_->search(queries.subspan(first * dim, n * dim), ask);
    for (std::size_t q = first; q < first + n; ++q) {
      const RowRange hide = excluded.empty() ? RowRange{} : excluded[q];
      if (answer(q, {proposed.data() + (q - first) * ask, ask}, queries, k, hide, out.data() + q * k))
        continue;
      const auto found = exact_.search(queries.subspan(q * dim, dim), k, {&hide, 1}, within);
      std::copy(found.begin(), found.end(), out.begin() + static_cast<std::ptrdiff_t>(q * k));
    }
  });
  return out;
}

/// False when the index proposes fewer rows than there are to find.
bool SearchIndex::answer(std::size_t query, std::span<const std::int64_t> proposed,
                         std::span<const float> queries, std::size_t k, RowRange excluded,
                         Neighbour* out) const {
  const float* q = queries.data() + query * exact_.dim();
  std::vector<Neighbour> all;
  for (const std::int64_t label : proposed) {
    if (label < 0) continue;  // nothing more was found
    const auto row = static_cast<std::uint32_t>(label);
    if (excluded.contains(row)) continue;
    all.push_back({row, exact_.metric().similarity(q, exact_.row(row), exact_.dim())});
  }
  if (all.size() < k) return false;
  std::sort(all.begin(), all.end(), [](const Neighbour& a, const Neighbour& b) {
    return a.similarity != b.similarity ? a.similarity > b.similarity : a.row < b.row;
  });
  std::copy_n(all.begin(), k, out);
  return true;
}

double SearchIndex::recall(std::span<const float> queries, std::size_t k, std::span<const RowRange> excluded,
                           Parallel& parallel) const {
  const auto ours = search(queries, k, excluded, parallel);
  const auto exact = exact_.search(queries, k, excluded, parallel);
  const std::size_t each = std::min(k, exact_.size());
  std::size_t hits = 0, all = 0;
  for (std::size_t q = 0; q < exact.size(); q += each) {
    const auto begin = ours.begin() + static_cast<std::ptrdiff_t>(q);
    for (std::size_t i = q; i < q + each && exact[i].row != ExactIndex::kNoRow; ++i) {
      ++all;
      hits += std::any_of(begin, begin + static_cast<std::ptrdiff_t>(each),
                          [&](const Neighbour& n) { return n.row == exact[i].row; })
                  ? 1
                  : 0;
    }
  }
  return all > 0 ? static_cast<double>(hits) / static_cast<double>(all) : 1;
}

void SearchIndex::save(Bundle& bundle) const {
  bundle.facts["index"] = choice_.name();
  if (choice_.kind == IndexChoice::Kind::Ivf) {
    const auto lists = static_cast<std::int64_t>(centres_.size() / exact_.dim());
    bundle.facts["index_nlist"] = lists;
    bundle.facts["index_nprobe"] = static_cast<std::int64_t>(choice_.probes);
    bundle.tensors["index.centres"] =
        learning::tensor_of(centres_, {lists, static_cast<std::int64_t>(exact_.dim())});
  } else if (choice_.kind == IndexChoice::Kind::Hnsw) {
    bundle.facts["index_m"] = static_cast<std::int64_t>(choice_.links);
    bundle.facts["index_ef_construction"] = static_cast<std::int64_t>(choice_.ef_construction);
    bundle.facts["index_ef_search"] = static_cast<std::int64_t>(choice_.ef_search);
  }
}

SearchIndex SearchIndex::load(const Bundle& bundle, std::shared_ptr<const TensorReader> rows, Metric metric,
                              std::size_t cache_bytes) {
  IndexChoice choice;
  std::vector<float> centres;
  const std::string name =
      bundle.facts.find("index") == nullptr ? "exact" : learning::fact(bundle, "index").as_string();
  if (name == "ivf") {
    choice.kind = IndexChoice::Kind::Ivf;
    choice.lists = learning::count_fact(bundle, "index_nlist", 1);
    choice.probes = learning::count_fact(bundle, "index_nprobe", 1);
    centres = learning::floats(bundle, "index.centres",
                               {static_cast<std::int64_t>(*choice.lists), rows->shape()[1]});
  } else if (name == "hnsw") {
    choice.kind = IndexChoice::Kind::Hnsw;
    choice.links = learning::count_fact(bundle, "index_m", 2, kMostLinks);
    choice.ef_construction = learning::count_fact(bundle, "index_ef_construction", 1, kMostCandidates);
    choice.ef_search = learning::count_fact(bundle, "index_ef_search", 1, kMostCandidates);
  } else if (name != "exact") {
    throw Error(
        fmt::format("'index' of the bundle is '{}': expected exact, ivf or hnsw; the bundle is damaged or of "
                    "another learner; train the model again",
                    name));
  }
  if (choice.kind != IndexChoice::Kind::Exact) cache_bytes = std::numeric_limits<std::size_t>::max();
  Sequential sequential;
  return SearchIndex(ExactIndex(std::move(rows), metric, cache_bytes, sequential), choice,
                     std::move(centres));
}

}  // namespace graft::search
