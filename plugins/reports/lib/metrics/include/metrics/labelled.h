#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <graft/learner.h>

namespace graft::metrics {

/// The labelled rows of a part of predictions; of single-label predictions, those with a label.
struct Labelled {
  std::vector<std::size_t> rows;  ///< Positions in the part.
  Scores scores;
  std::vector<std::vector<std::int32_t>> labels;  ///< One of each; any number for multi-label predictions.
  /// Why the scores are not class probabilities (improper_scores), in a few words; empty: they are.
  std::string improper = {};
  bool has_order = true;  ///< False: some score is not a number.
};

/// Throws Error naming learner, part and item when numbers of rows and classes do not fit together, a label
/// is out of range or a row of single-label predictions has several. `name` is that of the part, for
/// messages.
Labelled labelled(const Predictions& of, const Predictions::Part& part, const char* name);

}  // namespace graft::metrics
