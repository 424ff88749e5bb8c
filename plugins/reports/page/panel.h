#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <graft/learner.h>

#include <metrics/metrics.h>

#include "gallery.h"

namespace graft::page {

/// What the page shows of one learner: of test, or of val where no test input is labelled.
struct Panel {
  std::string learner;
  std::vector<std::string> classes;
  bool multi_label = false;
  std::string split;  ///< "test" or "val"; empty: no labelled rows of either, and the rest is empty, too.
  /// Why its scores are not class probabilities; empty: they are. Where they do not decide what an input is
  /// taken for either, all that follows but `n` and `summary` is empty.
  std::string improper;
  std::size_t n = 0, right = 0;
  std::vector<metrics::ClassCounts> per_class;
  std::vector<metrics::ConfusionCell> confusion;     ///< With one label per row.
  std::vector<metrics::CalibrationBin> calibration;  ///< With one label per row, of probabilities.
  std::vector<std::string> keys;                     ///< Of the labelled rows.
  std::vector<double> correct;                       ///< 1 or 0 for each of them.
  std::vector<Item> mistakes, unsure;                ///< `unsure`: of probabilities.
  /// Inputs of a cell of the confusion matrix, true x predicted class: the first ones.
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::vector<Item>> cells;
  Value summary;
};

/// Limits of what is shown of a learner.
struct PanelLimits {
  std::size_t gallery = 12;  ///< Most confident mistakes, least certain.
  std::size_t cell = 12;     ///< Inputs of a cell,
  std::size_t cells = 300;   ///< of this many cells, the largest errors first.
};

/// Throws as metrics::labelled does. Items have no images yet.
Panel panel_of(const Predictions& predictions, const PanelLimits& limits);

}  // namespace graft::page
