#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/registry.h"
#include "run/progress.h"
#include "run/scorer.h"
#include "run/signals.h"
#include "run/trained_model.h"
#include "store/feature_file.h"
#include "store/row.h"

namespace graft {

struct PredictOptions {
  std::vector<std::string> inputs;     ///< Paths as the plugin `files` takes them.
  std::vector<std::string> overrides;  ///< --set, for the config of the run.
  std::filesystem::path store;         ///< Where features are kept for later; empty: nowhere.
  std::filesystem::path features;      ///< A file for the rows of the model's first table; empty: none.
  std::size_t neighbours = 0;          ///< Most training images to name for each input.
  ProgressStyle style;
};

/// An input and what the model says of it: its scores, or why it has none.
struct PredictedInput {
  std::string_view key;
  std::span<const float> scores;               ///< One per class; empty for a reject.
  const StoredReject* reject = nullptr;        ///< Null, unless the input was rejected.
  std::span<const NearImage> neighbours = {};  ///< Where asked for.
};

struct PredictOutcome {
  std::uint64_t inputs = 0, rejected = 0;
  Exported features;         ///< No file is written where every input was rejected, or after an interruption.
  bool interrupted = false;  ///< Then `inputs` are the first ones, and the others were not predicted.
};

/// Predicts files with a model of a run: the stages of its config turn them into rows, in a store of their
/// own or in that of the options, and the model scores the rows, with the same bits as in the run. `each` is
/// called once per input, in the order of the inputs, soon after it was computed: inputs are predicted in
/// portions, so that rows, results and the own store do not grow with their number.
/// Throws Error.
GRAFT_API PredictOutcome predict(const TrainedModel& model, const PredictOptions& options, Registry& registry,
                                 Signals& signals, const std::function<void(const PredictedInput&)>& each);

}  // namespace graft
