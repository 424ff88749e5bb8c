#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <graft/predictor.h>
#include <graft/value.h>

#include "base/temporary_folder.h"
#include "config/plan.h"
#include "plugin/registry.h"
#include "run/whole_run.h"

namespace graft {

class DigestMemo;

/// Whether a packed model may hold code, as TorchScript does. Of a run, what it names is used in any case.
enum class Code { Refused, Allowed };

/// A model that a run has left: one of its learners or calibrators.
struct GRAFT_API TrainedModel {
  std::filesystem::path run;   ///< The run's folder, or where a packed model was unpacked.
  std::string stage;           ///< Name of the learner or calibrator in the run's config.
  Bundle bundle;               ///< models/<stage>; tensors that may be large stay in the file.
  std::filesystem::path from;  ///< The run's folder, or the packed file: for messages.
  std::shared_ptr<const TemporaryFolder> unpacked;  ///< Of a packed model; null for that of a run.
  Code code = Code::Refused;                        ///< Of a packed model: what it was opened with.
  /// Where the model keeps no training images to compare with: another model of its run that keeps them and
  /// takes the same tables. Empty: none.
  std::string neighbours;
  std::shared_ptr<const HeldRun> held;  ///< The run's folder; null for a packed model.

  /// Throws Error where another run is at its place by now: what was read of the folder since the model was
  /// opened may be of that one.
  void require_in_place() const;
  /// The facts of the learner itself, below those of calibrators.
  const Value& learner_facts() const;
  std::vector<std::string> classes() const;
  /// Whether every class is a question of its own.
  bool multi_label() const;
};

/// The model at `path`: the folder of a run, of which `learner` is taken, by default the one with the best
/// scores on val, by what the reports of the run's config declare as their criterion; models/<learner> of a
/// run; or a file that `graft model pack` has written, which is checked whole and unpacked into a temporary
/// folder. Throws Error naming what is there.
GRAFT_API TrainedModel open_model(const std::filesystem::path& path, const std::string& learner,
                                  const Registry& registry, Code code = Code::Refused);

/// The config that leads from new files to the tables that the model takes: the stages upstream of its
/// learner as the run's config.yaml has them, the run's source replaced by `files` with these paths. Where
/// the source gave images, a `decode` that leaves them in their size follows. How many threads and how much
/// memory there are is for this machine to decide. Throws Error where the model was trained on tables that no
/// image leads to.
/// Where the model has `neighbours`, that stage is in it, too.
GRAFT_API Value prediction_config(const TrainedModel& model, const std::vector<std::string>& paths,
                                  const Registry& registry);

/// That config with files at new places: `overrides` are of parameters that name files. Throws Error for
/// another one.
GRAFT_API Value with_moved_files(Value config, const std::vector<std::string>& overrides,
                                 const Registry& registry);

/// The plan of that config, which is written into `folder`. Throws Error; for a network that is not at its
/// place any more it names the digest that is wanted. The plan of a packed model names no file but its parts
/// and what `overrides` name, and no code where that is refused.
GRAFT_API Plan prediction_plan(const TrainedModel& model, const std::vector<std::string>& paths,
                               const std::vector<std::string>& overrides, const Registry& registry,
                               const std::filesystem::path& folder);

/// The position of a stage in a plan. Throws Error when there is none of that name.
GRAFT_API std::size_t stage_named(const Plan& plan, const std::string& id);

/// Throws Error, which names what differs, unless the tables that `plan` makes for the model are made as
/// those that it was trained on.
GRAFT_API void require_same_features(const TrainedModel& model, const Plan& plan, const Registry& registry,
                                     DigestMemo& memo);

}  // namespace graft
