#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <graft/predictor.h>

#include <linear/linear_model.h>
#include <search/neighbours.h>
#include <search/provenance.h>
#include "neighbourhood.h"
#include "representation.h"

namespace graft {

/// How a score comes about, with p the head's probabilities and v the neighbours' votes.
enum class Combination {
  Head,    ///< p alone.
  Votes,   ///< v alone.
  Concat,  ///< A head over the row's own features, its neighbours' mean and their votes, side by side.
  Mix,     ///< alpha v + (1 - alpha) p (Wang et al. 2019; Khandelwal et al. 2020).
  Cache,   ///< softmax(log p + alpha cache): Tip-Adapter (Zhang et al. 2022).
};
const std::vector<std::string>& combination_names();  // "head", "votes", "concat", "mix", "cache"

struct Settings {
  Combination combination = Combination::Mix;
  Pooling pooling;
  double alpha = 0, beta = 0;
};

/// What the combinations are made from, for a set of rows: row-major rows x classes each; a part that the
/// combination does not use may be empty.
struct Ingredients {
  std::vector<float> head, votes, cache;
};
/// Concat: the head's own scores.
Scores combine(const Settings& settings, const Ingredients& parts, std::size_t rows, std::size_t classes);

/// Features of the head of Concat: [z, mean of the neighbours, votes], row-major rows x (2 dim + classes).
std::vector<float> merged_features(std::span<const float> z, std::span<const float> mean,
                                   std::span<const float> votes, std::size_t rows);

/// Probabilities by a linear model of rows in memory, row-major rows x model.dim.
std::vector<float> head_scores(const linear::LinearModel& model, std::span<const float> rows,
                               Parallel& parallel);

constexpr std::size_t kShownNeighbours = 10;  ///< That are listed in a run.

/// The hybrid as a predictor of one table. Holds the training rows in their learnt representation.
class HybridPredictor final : public Predictor {
 public:
  HybridPredictor(Representation representation, search::ExactIndex index, std::vector<std::int32_t> labels,
                  linear::LinearPredictor head, Settings settings);
  static std::unique_ptr<HybridPredictor> load(const Bundle& bundle);

  Scores predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const override;
  /// Of a row that the predictor has learnt: without the rows of the same input.
  Neighbours neighbours(const std::vector<const RowSet*>& tables, Parallel& parallel) const override;
  void save(Bundle& bundle) const override;
  /// Where the index's rows come from, and how many neighbours() gives at most.
  void show(search::Provenance provenance, std::size_t neighbours = kShownNeighbours) {
    provenance_ = std::move(provenance);
    shown_ = neighbours;
  }

 private:
  std::vector<float> represented(const RowSet& table, Parallel& parallel) const;

  Representation representation_;
  search::ExactIndex index_;
  std::vector<std::int32_t> labels_;
  linear::LinearPredictor head_;
  Settings settings_;
  search::Provenance provenance_;
  std::size_t shown_ = 0;
};

}  // namespace graft
