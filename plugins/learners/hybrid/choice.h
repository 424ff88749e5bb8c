#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <graft/learner.h>

#include <learning/features.h>
#include <metrics/score.h>
#include "hidden_training.h"
#include "hybrid_model.h"

namespace graft {

/// A way to represent rows: how many directions are kept, nothing for the source features as they are, and
/// how wide the hidden layer is, 0 for none.
struct Form {
  std::optional<std::size_t> m;
  std::size_t units = 0;
};

Value describe(const Form& form);  ///< "m" and "hidden", for summaries.

struct HybridOptions {
  enum class Directions { Svd, Variance, Fisher };
  Directions directions = Directions::Svd;
  std::vector<Form> forms;
  HiddenOptions hidden;  ///< But for the units.
  std::vector<std::size_t> n;
  std::vector<double> temperatures, c, alphas, betas;  ///< Alphas and betas: those of the combination.
  Combination combination = Combination::Mix;          ///< Concat, Mix or Cache.
  std::uint64_t seed = 0;
  std::function<void(const std::string&)> warn;
};

/// What is fitted on some rows for one form, before neighbours and head are put together.
struct Prepared {
  embedding::Embedding directions;
  std::optional<TrainedHidden> hidden;
  LabelledRows train, val;        ///< In the representation, unit length.
  search::Provenance provenance;  ///< Of the train rows.

  Representation representation() const;
};

/// Step 1 of a form, whatever its hidden layer. Throws Error when the rows leave nothing to fit.
embedding::Embedding fit_directions(const HybridOptions& options, const Form& form,
                                    const learning::FeatureRows& train, std::size_t classes,
                                    Parallel& parallel);

/// `epochs`: train the hidden layer for so many and do not
/// look at val. `val` may be empty.
Prepared prepare(const HybridOptions& options, const Form& form, embedding::Embedding directions,
                 const learning::FeatureRows& train, const search::Provenance& provenance,
                 const learning::FeatureRows& val, std::size_t classes, std::optional<std::size_t> epochs,
                 Parallel& parallel);

struct Chosen {
  Settings settings;
  double c = 1;
  std::size_t form = 0;  ///< Position in HybridOptions::forms.
  metrics::Score score;  ///< On val.
};

/// Tries every setting on val, and the two parts by themselves: what a combination cannot better is taken as
/// it is. Ties go to the earlier. Without val rows: the settings in the middle of their lists. Adds `trials`
/// and `ablation` to the summary.
Chosen choose(const HybridOptions& options, const std::vector<Prepared>& prepared, std::size_t classes,
              Parallel& parallel, Value& summary);

/// The predictor of a setting, its head fitted on prepared.train.
std::unique_ptr<HybridPredictor> fit_predictor(const Prepared& prepared, const Settings& settings, double c,
                                               std::size_t classes, Parallel& parallel);

}  // namespace graft
