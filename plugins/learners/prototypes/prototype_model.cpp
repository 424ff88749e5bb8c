#include "prototype_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <graft/error.h>

#include <learning/bundle.h>
#include <learning/features.h>
#include <numeric/parts.h>
#include <search/kmeans.h>

namespace graft {

Prototypes class_means(const learning::FeatureRows& rows, const search::FeatureTransform& transform,
                       std::size_t classes, Parallel& parallel) {
  const std::size_t dims = transform.dims();
  const numeric::Parts parts(rows.blocks(), classes * dims * sizeof(double));
  std::vector<std::vector<double>> sums(parts.count());
  parallel.for_each(parts.count(), [&](std::size_t p) {
    sums[p].assign(classes * dims, 0);
    for (std::size_t b = parts.begin(p); b < parts.begin(p + 1); ++b) {
      const std::vector<float> x = transform.block(rows, b);
      for (std::size_t r = 0; r < rows.count(b); ++r) {
        double* to = sums[p].data() + static_cast<std::size_t>(rows.labels()[rows.begin(b) + r]) * dims;
        for (std::size_t d = 0; d < dims; ++d) to[d] += x[r * dims + d];
      }
    }
  });
  for (std::size_t p = 1; p < parts.count(); ++p) {
    for (std::size_t i = 0; i < sums[0].size(); ++i) sums[0][i] += sums[p][i];
  }
  std::vector<double> sizes(classes);
  for (const std::int32_t label : rows.labels()) ++sizes[static_cast<std::size_t>(label)];
  Prototypes out;
  for (std::size_t c = 0; c < classes; ++c) {
    if (sizes[c] == 0) continue;
    out.labels.push_back(static_cast<std::int32_t>(c));
    for (std::size_t d = 0; d < dims; ++d)
      out.points.push_back(static_cast<float>(sums[0][c * dims + d] / sizes[c]));
  }
  transform.metric().scaler().apply(out.labels.size(), dims, out.points.data());
  return out;
}

Prototypes class_clusters(std::span<const float> transformed, std::span<const std::int32_t> labels,
                          std::size_t classes, const search::FeatureTransform& transform,
                          std::size_t per_class, std::uint64_t seed, Parallel& parallel) {
  const std::size_t dims = transform.dims();
  std::vector<std::vector<std::size_t>> members(classes);
  for (std::size_t r = 0; r < labels.size(); ++r) members[static_cast<std::size_t>(labels[r])].push_back(r);
  std::vector<std::vector<float>> centres(classes);
  parallel.for_each(classes, [&](std::size_t c) {
    if (members[c].empty()) return;
    std::vector<float> rows;
    rows.reserve(members[c].size() * dims);
    for (const std::size_t r : members[c])
      rows.insert(rows.end(), transformed.data() + r * dims, transformed.data() + (r + 1) * dims);
    Sequential within;
    centres[c] = search::k_means(rows, dims, per_class, transform.metric(), seed + c, within).centres;
  });
  Prototypes out;
  for (std::size_t c = 0; c < classes; ++c) {
    out.labels.insert(out.labels.end(), centres[c].size() / dims, static_cast<std::int32_t>(c));
    out.points.insert(out.points.end(), centres[c].begin(), centres[c].end());
  }
  return out;
}

std::vector<double> class_similarities(const Prototypes& prototypes, std::span<const float> transformed,
                                       const search::FeatureTransform& transform, std::size_t classes) {
  const std::size_t dims = transform.dims();
  const std::size_t count = transformed.size() / dims;
  std::vector<double> out(count * classes, -std::numeric_limits<double>::infinity());
  for (std::size_t r = 0; r < count; ++r) {
    for (std::size_t p = 0; p < prototypes.labels.size(); ++p) {
      double& best = out[r * classes + static_cast<std::size_t>(prototypes.labels[p])];
      best = std::max(best, transform.metric().similarity(transformed.data() + r * dims,
                                                          prototypes.points.data() + p * dims, dims));
    }
  }
  return out;
}

void class_probabilities(std::span<const double> similarities, double temperature, std::span<float> out) {
  const double top = *std::max_element(similarities.begin(), similarities.end());
  double sum = 0;
  for (const double s : similarities) sum += std::exp((s - top) / temperature);
  for (std::size_t c = 0; c < out.size(); ++c)
    out[c] = static_cast<float>(std::exp((similarities[c] - top) / temperature) / sum);
}

Scores PrototypePredictor::predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const {
  const RowSet& table = learning::only_table(tables, transform_.inputs());
  Scores scores(table.rows(), classes_);
  learning::read_blocks(
      table, 0, table.rows(), parallel, [&](std::size_t first, std::size_t count, float* features) {
        const std::vector<float> x =
            transform_.apply(count, features, [&](std::size_t r) { return table.key(first + r); });
        const std::vector<double> similarities = class_similarities(prototypes_, x, transform_, classes_);
        for (std::size_t r = 0; r < count; ++r) {
          class_probabilities({similarities.data() + r * classes_, classes_}, temperature_,
                              {scores.row(first + r), classes_});
        }
      });
  return scores;
}

void PrototypePredictor::save(Bundle& bundle) const {
  const auto count = static_cast<std::int64_t>(prototypes_.labels.size());
  bundle.facts["classes"] = static_cast<std::int64_t>(classes_);
  bundle.facts["prototypes"] = count;
  transform_.save(bundle);
  bundle.facts["temperature"] = temperature_;
  bundle.tensors["prototypes"] =
      learning::tensor_of(prototypes_.points, {count, static_cast<std::int64_t>(transform_.dims())});
  bundle.tensors["labels"] = learning::tensor_of(prototypes_.labels, {count});
}

std::unique_ptr<PrototypePredictor> PrototypePredictor::load(const Bundle& bundle) {
  const std::size_t classes = learning::class_count(bundle);
  const std::size_t count = learning::count_fact(bundle, "prototypes", 1);
  search::FeatureTransform transform = search::FeatureTransform::load(bundle);
  const double temperature = learning::fact(bundle, "temperature").as_double();
  if (!(temperature > 0)) {
    throw Error(fmt::format(
        "'temperature' of the bundle is {}: expected a number above 0; the bundle is damaged or of another "
        "learner; train the model again",
        temperature));
  }
  Prototypes prototypes{
      learning::floats(bundle, "prototypes",
                       {static_cast<std::int64_t>(count), static_cast<std::int64_t>(transform.dims())}),
      learning::class_indices(bundle, "labels", count, classes)};
  return std::make_unique<PrototypePredictor>(std::move(transform), std::move(prototypes), classes,
                                              temperature);
}

}  // namespace graft
