#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <graft/predictor.h>

#include <search/feature_transform.h>
#include <search/provenance.h>
#include <search/search_index.h>
#include <search/vote.h>

namespace graft {

/// Training rows, ready to be searched.
struct KnnRows {
  search::FeatureTransform transform;
  search::SearchIndex index;         ///< Of transformed rows.
  std::vector<std::int32_t> labels;  ///< One class per row of the index.
  search::Provenance provenance;     ///< Of a model that was loaded: positions alone.
};

/// Writes the scores of rows from `first` on by their neighbours, k each.
void cast_votes(const KnnRows& rows, const search::Vote& how, std::span<const search::Neighbour> found,
                std::size_t k, std::size_t first, Scores& scores, Parallel& parallel);

/// Weighted k nearest neighbours as a predictor of one table. Holds the training rows, or reads them.
class KnnPredictor final : public Predictor {
 public:
  /// `shown`: how many neighbours `neighbours` gives at most.
  KnnPredictor(KnnRows rows, std::size_t classes, search::Vote how, std::size_t shown)
      : rows_(std::move(rows)), classes_(classes), vote_(how), shown_(shown) {}
  /// `cache_bytes`: rows of an exact index that take up more are read at every use.
  static std::unique_ptr<KnnPredictor> load(const Bundle& bundle, std::size_t cache_bytes);

  const KnnRows& rows() const { return rows_; }
  /// By cosine, a row of zeros is at similarity 0 to every training row: the first k of them vote.
  Scores predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const override;
  /// Of a row that the predictor has learnt: without the rows of the same input.
  Neighbours neighbours(const std::vector<const RowSet*>& tables, Parallel& parallel) const override;
  void save(Bundle& bundle) const override;

 private:
  KnnRows rows_;
  std::size_t classes_;
  search::Vote vote_;
  std::size_t shown_;
};

}  // namespace graft
