#pragma once

#include <cstddef>
#include <cstdint>

#include <embedding/embedding.h>
#include <embedding/fits.h>
#include <learning/features.h>

namespace graft::embedding {

struct LearntOptions {
  enum class Loss { Nca, Contrastive };
  Loss loss = Loss::Nca;
  std::size_t dims = 32;
  std::size_t inputs = 128;  ///< Principal components that the metric is learnt on.
  std::size_t rows = 2000;   ///< Rows that it is learnt from, drawn at random where there are more.
  int max_iterations = 50;   ///< Few: what the first steps find carries over best to other rows.
  double temperature = 0.1;  ///< Contrastive only.
  /// Nca only: weight of 0.5 |B|^2. The other loss does not change with the length of the map.
  double penalty = 0.001;
  std::uint64_t seed = 0;
};

/// A linear metric that is learnt from the labels: y = B P (x - mean), with P the leading principal
/// components scaled to a total variance of 1, and B (dims x components) minimising a loss over pairs
/// (pairwise.h) plus the penalty, by L-BFGS from the directions of discriminant analysis and the leading
/// components. Pairs are compared all with all, which is why only `rows` rows take part. The same bits for
/// any number of threads.
Embedding fit_learnt(const learning::FeatureRows& rows, const LearntOptions& options, const Warn& warn,
                     Parallel& parallel);

}  // namespace graft::embedding
