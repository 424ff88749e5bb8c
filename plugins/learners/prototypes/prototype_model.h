#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <graft/predictor.h>

#include <search/feature_transform.h>

namespace graft {

/// Points that stand for the classes; several may stand for one.
struct Prototypes {
  std::vector<float> points;         ///< Row-major labels.size() x dims, transformed.
  std::vector<std::int32_t> labels;  ///< The class of each.
};

/// Mean of the transformed rows of every class that has some; for cosine scaled to length 1. Rows are read
/// block by block, and may be on disk.
Prototypes class_means(const learning::FeatureRows& rows, const search::FeatureTransform& transform,
                       std::size_t classes, Parallel& parallel);

/// k-means with `per_class` centres within every class; a class with fewer different rows has fewer.
/// `transformed` are all rows in the order of `labels`.
Prototypes class_clusters(std::span<const float> transformed, std::span<const std::int32_t> labels,
                          std::size_t classes, const search::FeatureTransform& transform,
                          std::size_t per_class, std::uint64_t seed, Parallel& parallel);

/// Similarity of transformed rows to every class: the largest to one of its prototypes, -infinity for a class
/// without. Row-major count x classes. In double, the same for a row whatever is around it.
std::vector<double> class_similarities(const Prototypes& prototypes, std::span<const float> transformed,
                                       const search::FeatureTransform& transform, std::size_t classes);

/// softmax(similarity / temperature) of one row of class_similarities; 0 for a class without prototypes.
void class_probabilities(std::span<const double> similarities, double temperature, std::span<float> out);

/// Nearest prototypes as a predictor of one table.
class PrototypePredictor final : public Predictor {
 public:
  PrototypePredictor(search::FeatureTransform transform, Prototypes prototypes, std::size_t classes,
                     double temperature)
      : transform_(std::move(transform)),
        prototypes_(std::move(prototypes)),
        classes_(classes),
        temperature_(temperature) {}
  static std::unique_ptr<PrototypePredictor> load(const Bundle& bundle);

  Scores predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const override;
  void save(Bundle& bundle) const override;

 private:
  search::FeatureTransform transform_;
  Prototypes prototypes_;
  std::size_t classes_;
  double temperature_;
};

}  // namespace graft
