#pragma once

#include <cstddef>

#include <graft/predictor.h>

#include <learning/features.h>

namespace graft {

/// What is odd about features, if not wrong.
struct Survey {
  std::size_t constant = 0;   ///< Features that are the same in all rows.
  std::size_t zero_rows = 0;  ///< Rows of zeros only.
};

/// Reads all rows once. Before they are scaled.
Survey survey_of(const learning::FeatureRows& rows, Parallel& parallel);

}  // namespace graft
