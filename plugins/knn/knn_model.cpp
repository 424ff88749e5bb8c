#include "knn_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <graft/error.h>

#include "linalg/bundle.h"
#include "linalg/features.h"

namespace graft {

void vote(std::span<const linalg::Neighbour> neighbours, const Vote& how,
          const std::vector<std::int32_t>& labels, std::span<float> shares) {
  std::vector<double> votes(shares.size());
  double sum = 0;
  const std::size_t k = std::min(how.k, neighbours.size());
  for (const linalg::Neighbour& n : neighbours.first(k)) {
    const double weight = std::exp((n.similarity - neighbours[0].similarity) / how.temperature);
    votes[static_cast<std::size_t>(labels[n.row])] += weight;
    sum += weight;
  }
  for (std::size_t c = 0; c < shares.size(); ++c) shares[c] = static_cast<float>(votes[c] / sum);
}

Scores KnnPredictor::predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const {
  const RowSet& table = linalg::only_table(tables, index_.dim());
  Scores scores(table.rows(), classes_);
  const linalg::RowScaler unit(linalg::RowScaler::Kind::L2);
  linalg::read_blocks(table, parallel, [&](std::size_t, std::size_t first, std::size_t count, float* rows) {
    unit.apply(count, index_.dim(), rows);
    const std::vector<linalg::Neighbour> found = index_.search({rows, count * index_.dim()}, vote_.k);
    const std::size_t k = found.size() / count;
    for (std::size_t r = 0; r < count; ++r) {
      vote({found.data() + r * k, k}, vote_, labels_, {scores.row(first + r), classes_});
    }
  });
  return scores;
}

void KnnPredictor::save(Bundle& bundle) const {
  const auto rows = static_cast<std::int64_t>(index_.size());
  const auto dim = static_cast<std::int64_t>(index_.dim());
  bundle.facts["classes"] = static_cast<std::int64_t>(classes_);
  bundle.facts["rows"] = rows;
  bundle.facts["dim"] = dim;
  bundle.facts["k"] = static_cast<std::int64_t>(vote_.k);
  bundle.facts["temperature"] = vote_.temperature;
  bundle.facts["scale"] = "l2";
  bundle.tensors["rows"] = linalg::tensor_of(index_.rows(), {rows, dim});
  bundle.tensors["labels"] = linalg::tensor_of(labels_, {rows});
}

std::unique_ptr<KnnPredictor> KnnPredictor::load(const Bundle& bundle) {
  const std::size_t classes = linalg::count_fact(bundle, "classes", 1);
  const std::size_t rows = linalg::count_fact(bundle, "rows", 1);
  const std::size_t dim = linalg::count_fact(bundle, "dim", 1);
  const Vote how{linalg::count_fact(bundle, "k", 1), linalg::fact(bundle, "temperature").as_double()};
  if (!(how.temperature > 0)) {
    throw Error(fmt::format(
        "'temperature' of the bundle is {}: expected a number above 0; the bundle is damaged or of "
        "another learner; train the model again",
        how.temperature));
  }
  linalg::CosineIndex index(
      linalg::floats(bundle, "rows", {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(dim)}), dim);
  return std::make_unique<KnnPredictor>(std::move(index),
                                        linalg::class_indices(bundle, "labels", rows, classes), classes, how);
}

}  // namespace graft
