#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <graft/predictor.h>
#include <graft/value.h>

#include "config/plan.h"
#include "plugin/registry.h"

namespace graft {

class DigestMemo;

/// A model that a run has left: one of its learners or calibrators.
struct GRAFT_API TrainedModel {
  std::filesystem::path run;  ///< The run's folder.
  std::string stage;          ///< Name of the learner or calibrator in the run's config.
  Bundle bundle;              ///< models/<stage>; tensors that may be large stay in the file.

  /// The facts of the learner itself, below those of calibrators.
  const Value& learner_facts() const;
  std::vector<std::string> classes() const;
  /// Whether every class is a question of its own.
  bool multi_label() const;
};

/// The model at `path`: the folder of a run, of which `learner` is taken, by default the one with the best
/// scores on val, by what the reports of the run's config declare as their criterion; or models/<learner> of
/// a run. Throws Error naming what is there.
GRAFT_API TrainedModel open_model(const std::filesystem::path& path, const std::string& learner,
                                  const Registry& registry);

/// The config that leads from new files to the tables that the model takes: the stages upstream of its
/// learner as the run's config.yaml has them, the run's source replaced by `files` with these paths. Where
/// the source gave images, a `decode` that leaves them in their size follows. Throws Error where the model
/// was trained on tables that no image leads to.
GRAFT_API Value prediction_config(const TrainedModel& model, const std::vector<std::string>& paths,
                                  const Registry& registry);

/// Throws Error, which names what differs, unless the tables that `plan` makes for the model are made as
/// those that it was trained on.
GRAFT_API void require_same_features(const TrainedModel& model, const Plan& plan, const Registry& registry,
                                     DigestMemo& memo);

}  // namespace graft
