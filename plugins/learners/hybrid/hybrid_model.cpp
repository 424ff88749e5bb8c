#include "hybrid_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include <graft/error.h>

#include <learning/bundle.h>
#include <learning/features.h>

namespace graft {

HybridPredictor::HybridPredictor(Representation representation, search::ExactIndex index,
                                 std::vector<std::int32_t> labels, linear::LinearPredictor head,
                                 Settings settings)
    : representation_(std::move(representation)),
      index_(std::move(index)),
      labels_(std::move(labels)),
      head_(std::move(head)),
      settings_(settings) {}

std::vector<float> HybridPredictor::represented(const RowSet& table, Parallel& parallel) const {
  const std::size_t dims = representation_.dims();
  std::vector<float> out(table.rows() * dims);
  learning::read_blocks(table, 0, table.rows(), parallel,
                        [&](std::size_t first, std::size_t count, float* rows) {
                          representation_.apply(count, rows, out.data() + first * dims);
                        });
  return out;
}

Scores HybridPredictor::predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const {
  const RowSet& table = learning::only_table(tables, representation_.inputs());
  const std::size_t rows = table.rows(), classes = head_.model().classes;
  if (rows == 0) return {0, classes};
  const std::vector<float> z = represented(table, parallel);
  const bool alone = settings_.combination == Combination::Head;
  const Neighbourhood near =
      alone ? Neighbourhood{rows, 0, {}} : neighbours_of(index_, z, settings_.pooling.n, parallel);
  Ingredients parts;
  if (!alone) parts.votes = votes(near, labels_, classes, settings_.pooling, parallel);
  if (settings_.combination == Combination::Cache)
    parts.cache = cache_logits(near, labels_, classes, settings_.pooling.n, settings_.beta, parallel);
  std::vector<float> merged;
  if (settings_.combination == Combination::Concat)
    merged = merged_features(z, mean_features(near, index_, settings_.pooling, parallel), parts.votes, rows);
  parts.head = head_scores(head_.model(), merged.empty() ? z : merged, parallel);
  return combine(settings_, parts, rows, classes);
}

Neighbours HybridPredictor::neighbours(const std::vector<const RowSet*>& tables, Parallel& parallel) const {
  const RowSet& table = learning::only_table(tables, representation_.inputs());
  Neighbours out;
  out.k = std::min(shown_, index_.size() - provenance_.widest());
  if (provenance_.empty() || out.k == 0) return {};
  std::vector<search::RowRange> own(table.rows());
  for (std::size_t r = 0; r < own.size(); ++r) own[r] = provenance_.of(table.key(r));
  for (const search::Neighbour& n : index_.search(represented(table, parallel), out.k, own, parallel)) {
    out.rows.push_back(provenance_.position(n.row));
    out.similarity.push_back(static_cast<float>(n.similarity));
  }
  return out;
}

void HybridPredictor::save(Bundle& bundle) const {
  representation_.save(bundle);
  head_.save(bundle);
  const auto rows = static_cast<std::int64_t>(index_.size());
  bundle.facts["rows"] = rows;
  bundle.facts["combination"] = combination_names()[static_cast<std::size_t>(settings_.combination)];
  bundle.facts["n"] = static_cast<std::int64_t>(settings_.pooling.n);
  bundle.facts["temperature"] = settings_.pooling.temperature;
  bundle.facts["alpha"] = settings_.alpha;
  bundle.facts["beta"] = settings_.beta;
  bundle.tensors["rows"] =
      learning::tensor_of(index_.rows(), {rows, static_cast<std::int64_t>(index_.dim())});
  bundle.tensors["labels"] = learning::tensor_of(labels_, {rows});
  if (provenance_.empty()) return;
  std::vector<std::int32_t> positions;
  for (std::uint32_t r = 0; r < index_.size(); ++r)
    positions.push_back(static_cast<std::int32_t>(provenance_.position(r)));
  bundle.facts["neighbours"] = static_cast<std::int64_t>(shown_);
  bundle.tensors["positions"] = learning::tensor_of(positions, {rows});
}

std::unique_ptr<HybridPredictor> HybridPredictor::load(const Bundle& bundle) {
  Representation representation = Representation::load(bundle);
  linear::LinearPredictor head = *linear::LinearPredictor::load(bundle);
  const std::size_t rows = learning::count_fact(bundle, "rows", 1), dims = representation.dims();
  const std::string& name = learning::fact(bundle, "combination").as_string();
  const auto known = std::find(combination_names().begin(), combination_names().end(), name);
  if (known == combination_names().end())
    throw Error(
        fmt::format("'combination' of the bundle is '{}': expected one of {}; the bundle is damaged or "
                    "of another learner; train the model again",
                    name, fmt::join(combination_names(), ", ")));
  Settings settings;
  settings.combination = static_cast<Combination>(known - combination_names().begin());
  settings.pooling = {learning::count_fact(bundle, "n", 1),
                      learning::fact(bundle, "temperature").as_double()};
  settings.alpha = learning::fact(bundle, "alpha").as_double();
  settings.beta = learning::fact(bundle, "beta").as_double();
  const std::size_t wanted =
      settings.combination == Combination::Concat ? 2 * dims + head.model().classes : dims;
  if (head.model().dim != wanted || !(settings.pooling.temperature > 0))
    throw Error(
        fmt::format("the bundle's head takes {} features where its representation gives {}, or its "
                    "temperature {} is not above 0: the bundle is damaged or of another learner; train "
                    "the model again",
                    head.model().dim, wanted, settings.pooling.temperature));
  search::ExactIndex index(
      learning::floats(bundle, "rows", {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(dims)}),
      dims, search::Metric::kCosine);
  std::vector<std::int32_t> labels = learning::class_indices(bundle, "labels", rows, head.model().classes);
  auto predictor = std::make_unique<HybridPredictor>(std::move(representation), std::move(index),
                                                     std::move(labels), std::move(head), settings);
  if (bundle.tensors.contains("positions")) {
    const std::vector<std::int32_t> positions =
        learning::indices(bundle, "positions", rows, std::numeric_limits<std::int32_t>::max(), "train row");
    predictor->show(search::Provenance(std::vector<std::size_t>(positions.begin(), positions.end())),
                    learning::count_fact(bundle, "neighbours", 1));
  }
  return predictor;
}

}  // namespace graft
