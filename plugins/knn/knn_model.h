#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <graft/predictor.h>

#include "linalg/neighbours.h"

namespace graft {

/// How neighbours vote: each of the k nearest for its class, with weight exp(similarity / temperature).
struct Vote {
  std::size_t k = 0;
  double temperature = 0;
};

/// Shares of the votes of a row's neighbours (best first; at least one), one per class, adding up to 1. The
/// largest weight is scaled to 1 first, so that no temperature overflows or loses all votes.
void vote(std::span<const linalg::Neighbour> neighbours, const Vote& how,
          const std::vector<std::int32_t>& labels, std::span<float> shares);

/// Weighted k nearest neighbours by cosine as a predictor of one table. Holds the training rows.
class KnnPredictor final : public Predictor {
 public:
  /// `labels` has one class in [0, classes) per row of the index.
  KnnPredictor(linalg::CosineIndex index, std::vector<std::int32_t> labels, std::size_t classes, Vote how)
      : index_(std::move(index)), labels_(std::move(labels)), classes_(classes), vote_(how) {}
  static std::unique_ptr<KnnPredictor> load(const Bundle& bundle);

  /// A row of zeros is at similarity 0 to every training row: the first k of them vote.
  Scores predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const override;
  void save(Bundle& bundle) const override;

 private:
  linalg::CosineIndex index_;
  std::vector<std::int32_t> labels_;
  std::size_t classes_;
  Vote vote_;
};

}  // namespace graft
