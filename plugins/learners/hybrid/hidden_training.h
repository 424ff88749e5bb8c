#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <graft/predictor.h>

#include "representation.h"

namespace graft {

/// Rows in memory and their classes: row-major labels.size() x dim.
struct LabelledRows {
  std::vector<float> values;
  std::size_t dim = 0;
  std::vector<std::int32_t> labels;

  std::size_t rows() const { return labels.size(); }
};

struct HiddenOptions {
  std::size_t units = 128;
  std::size_t epochs = 60, patience = 10;
  std::optional<std::size_t> stop_after = {};  ///< Of these epochs, train so many, without a look at val.
  double learning_rate = 1e-3, weight_decay = 1e-2, dropout = 0.2;
  std::uint64_t seed = 0;
};

struct TrainedHidden {
  dense::Network network;
  std::size_t epochs = 0;  ///< Whose weights these are: the best on val, or the last.
  Value curve;
};

/// Trains a network of one hidden layer and a softmax on the labels: AdamW, the epoch
/// that is best on val (all of them where there is no val).
TrainedHidden train_hidden(const HiddenOptions& options, const LabelledRows& train, const LabelledRows& val,
                           std::size_t classes, Parallel& parallel);

}  // namespace graft
