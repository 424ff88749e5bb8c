#include "knn_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include <graft/error.h>

#include <learning/bundle.h>
#include <learning/features.h>

namespace graft {

void cast_votes(const KnnRows& rows, const search::Vote& how, std::span<const search::Neighbour> found,
                std::size_t k, std::size_t first, Scores& scores, Parallel& parallel) {
  constexpr std::size_t kStep = 1024;
  const std::size_t count = k == 0 ? 0 : found.size() / k;
  parallel.for_each((count + kStep - 1) / kStep, [&](std::size_t b) {
    for (std::size_t r = b * kStep; r < std::min(count, (b + 1) * kStep); ++r) {
      search::vote(found.subspan(r * k, k), how, rows.transform.metric(), rows.labels,
                   {scores.row(first + r), scores.classes});
    }
  });
}

Scores KnnPredictor::predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const {
  const RowSet& table = learning::only_table(tables, rows_.transform.inputs());
  Scores scores(table.rows(), classes_);
  rows_.transform.for_each_group(
      table, parallel, [&](std::size_t first, std::size_t count, std::span<const float> queries) {
        const std::vector<search::Neighbour> found = rows_.index.search(queries, vote_.k, {}, parallel);
        cast_votes(rows_, vote_, found, found.size() / count, first, scores, parallel);
      });
  return scores;
}

Neighbours KnnPredictor::neighbours(const std::vector<const RowSet*>& tables, Parallel& parallel) const {
  Neighbours out;
  const std::size_t others = rows_.index.exact().size() - rows_.provenance.widest();
  if (rows_.provenance.empty() || std::min(shown_, others) == 0) return out;
  const RowSet& table = learning::only_table(tables, rows_.transform.inputs());
  out.k = std::min(shown_, others);
  out.rows.resize(table.rows() * out.k);
  out.similarity.resize(out.rows.size());
  rows_.transform.for_each_group(
      table, parallel, [&](std::size_t first, std::size_t count, std::span<const float> queries) {
        std::vector<search::RowRange> own(count);
        for (std::size_t r = 0; r < count; ++r) own[r] = rows_.provenance.of(table.key(first + r));
        const std::vector<search::Neighbour> found = rows_.index.search(queries, out.k, own, parallel);
        for (std::size_t i = 0; i < found.size(); ++i) {
          out.rows[first * out.k + i] = rows_.provenance.position(found[i].row);
          out.similarity[first * out.k + i] = static_cast<float>(found[i].similarity);
        }
      });
  return out;
}

void KnnPredictor::save(Bundle& bundle) const {
  const search::ExactIndex& index = rows_.index.exact();
  const auto rows = static_cast<std::int64_t>(index.size());
  bundle.facts["classes"] = static_cast<std::int64_t>(classes_);
  bundle.facts["rows"] = rows;
  rows_.transform.save(bundle);
  bundle.facts["k"] = static_cast<std::int64_t>(vote_.k);
  bundle.facts["weights"] = search::vote_weight_names()[static_cast<std::size_t>(vote_.weight)];
  bundle.facts["temperature"] = vote_.temperature;
  rows_.index.save(bundle);
  bundle.large["rows"] = index.reader();
  bundle.tensors["labels"] = learning::tensor_of(rows_.labels, {rows});
  if (rows_.provenance.empty() || shown_ == 0) return;
  std::vector<std::int32_t> positions;
  for (std::uint32_t r = 0; r < index.size(); ++r)
    positions.push_back(static_cast<std::int32_t>(rows_.provenance.position(r)));
  bundle.facts["neighbours"] = static_cast<std::int64_t>(shown_);
  bundle.tensors["positions"] = learning::tensor_of(positions, {rows});
}

std::unique_ptr<KnnPredictor> KnnPredictor::load(const Bundle& bundle, std::size_t cache_bytes) {
  const std::size_t classes = learning::class_count(bundle);
  const std::size_t rows = learning::count_fact(bundle, "rows", 1);
  search::FeatureTransform transform = search::FeatureTransform::load(bundle);
  const search::Vote how{learning::count_fact(bundle, "k", 1),
                         search::vote_weight_from(learning::fact(bundle, "weights").as_string()),
                         learning::fact(bundle, "temperature").as_double()};
  if (!(how.temperature > 0)) {
    throw Error(fmt::format(
        "'temperature' of the bundle is {}: expected a number above 0; the bundle is damaged or of "
        "another learner; train the model again",
        how.temperature));
  }
  const auto stored = learning::large_floats(bundle, "rows", rows, transform.dims());
  std::vector<std::int32_t> labels = learning::class_indices(bundle, "labels", rows, classes);
  search::SearchIndex index = search::SearchIndex::load(bundle, stored, transform.metric(), cache_bytes);
  search::Provenance provenance;
  std::size_t shown = 0;
  if (bundle.facts.find("neighbours") != nullptr) {
    shown = learning::count_fact(bundle, "neighbours", 1);
    const std::vector<std::int32_t> positions =
        learning::indices(bundle, "positions", rows, std::numeric_limits<std::int32_t>::max(), "train row");
    provenance = search::Provenance(std::vector<std::size_t>(positions.begin(), positions.end()));
  }
  return std::make_unique<KnnPredictor>(
      KnnRows{std::move(transform), std::move(index), std::move(labels), std::move(provenance)}, classes, how,
      shown);
}

}  // namespace graft
