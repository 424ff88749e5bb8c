#pragma once

#include <cstdint>
#include <vector>

#include <graft/learner.h>

namespace graft::metrics {

/// The labelled rows of a part of predictions; of single-label predictions, those with a label.
struct Labelled {
  std::vector<std::size_t> rows;  ///< Positions in the part.
  Scores scores;
  std::vector<std::vector<std::int32_t>> labels;  ///< One of each; any number for multi-label predictions.
};

/// Throws Error naming learner, part and item when numbers of rows and classes do not fit together, a label
/// is out of range, a row of single-label predictions has several, or a score is outside of 0 to 1. `name` is
/// that of the part, for messages.
Labelled labelled(const Predictions& of, const Predictions::Part& part, const char* name);

}  // namespace graft::metrics
