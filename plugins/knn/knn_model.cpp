#include "knn_model.h"

#include <fmt/format.h>

#include <algorithm>

#include <graft/error.h>

#include "linalg/bundle.h"
#include "linalg/features.h"

namespace graft {

Scores KnnPredictor::predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const {
  const RowSet& table = linalg::only_table(tables, rows_.preparation.inputs());
  Scores scores(table.rows(), classes_);
  linalg::read_blocks(
      table, parallel, [&](std::size_t, std::size_t first, std::size_t count, float* features) {
        const std::vector<float> queries =
            rows_.preparation.apply(count, features, [&](std::size_t r) { return table.key(first + r); });
        const std::vector<linalg::Neighbour> found = rows_.index.search(queries, vote_.k);
        const std::size_t k = found.size() / count;
        for (std::size_t r = 0; r < count; ++r) {
          vote({found.data() + r * k, k}, vote_, rows_.preparation.metric(), rows_.labels,
               {scores.row(first + r), classes_});
        }
      });
  return scores;
}

Neighbours KnnPredictor::neighbours(const std::vector<const RowSet*>& tables, Parallel& parallel) const {
  Neighbours out;
  const std::size_t others = rows_.index.exact().size() - rows_.origins.widest();
  if (rows_.origins.empty() || std::min(shown_, others) == 0) return out;
  const RowSet& table = linalg::only_table(tables, rows_.preparation.inputs());
  out.k = std::min(shown_, others);
  out.rows.resize(table.rows() * out.k);
  out.similarity.resize(out.rows.size());
  linalg::read_blocks(table, parallel,
                      [&](std::size_t, std::size_t first, std::size_t count, float* features) {
                        const auto key = [&](std::size_t r) { return table.key(first + r); };
                        const std::vector<float> queries = rows_.preparation.apply(count, features, key);
                        std::vector<linalg::RowRange> own(count);
                        for (std::size_t r = 0; r < count; ++r) own[r] = rows_.origins.of(key(r));
                        const std::vector<linalg::Neighbour> found = rows_.index.search(queries, out.k, own);
                        for (std::size_t i = 0; i < found.size(); ++i) {
                          out.rows[first * out.k + i] = rows_.origins.position(found[i].row);
                          out.similarity[first * out.k + i] = static_cast<float>(found[i].similarity);
                        }
                      });
  return out;
}

void KnnPredictor::save(Bundle& bundle) const {
  const linalg::ExactIndex& index = rows_.index.exact();
  const auto rows = static_cast<std::int64_t>(index.size());
  bundle.facts["classes"] = static_cast<std::int64_t>(classes_);
  bundle.facts["rows"] = rows;
  rows_.preparation.save(bundle);
  bundle.facts["k"] = static_cast<std::int64_t>(vote_.k);
  bundle.facts["weights"] = vote_weight_names()[static_cast<std::size_t>(vote_.weight)];
  bundle.facts["temperature"] = vote_.temperature;
  rows_.index.save(bundle);
  bundle.tensors["rows"] = linalg::tensor_of(index.rows(), {rows, static_cast<std::int64_t>(index.dim())});
  bundle.tensors["labels"] = linalg::tensor_of(rows_.labels, {rows});
}

std::unique_ptr<KnnPredictor> KnnPredictor::load(const Bundle& bundle) {
  const std::size_t classes = linalg::count_fact(bundle, "classes", 1);
  const std::size_t rows = linalg::count_fact(bundle, "rows", 1);
  Preparation preparation = Preparation::load(bundle);
  const Vote how{linalg::count_fact(bundle, "k", 1),
                 vote_weight_from(linalg::fact(bundle, "weights").as_string()),
                 linalg::fact(bundle, "temperature").as_double()};
  if (!(how.temperature > 0)) {
    throw Error(fmt::format(
        "'temperature' of the bundle is {}: expected a number above 0; the bundle is damaged or of "
        "another learner; train the model again",
        how.temperature));
  }
  const auto dims = static_cast<std::int64_t>(preparation.dims());
  linalg::ExactIndex exact(linalg::floats(bundle, "rows", {static_cast<std::int64_t>(rows), dims}),
                           preparation.dims(), preparation.metric());
  std::vector<std::int32_t> labels = linalg::class_indices(bundle, "labels", rows, classes);
  SearchIndex index = SearchIndex::load(bundle, std::move(exact));
  return std::make_unique<KnnPredictor>(
      KnnRows{std::move(preparation), std::move(index), std::move(labels), {}}, classes, how, 0);
}

}  // namespace graft
