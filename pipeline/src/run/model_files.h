#pragma once

#include <string>
#include <vector>

#include <graft/value.h>

#include "config/plan.h"
#include "plugin/registry.h"
#include "run/trained_model.h"
#include "store/digest_memo.h"

namespace graft {

/// The files that a stage depends on, networks above all: those that it and the stages upstream of it name in
/// their parameters, but for sources. One map per parameter, in the order of the plan: `stage`, `parameter`
/// ("model", "files.0"), `path`, `digest` (xxHash3-128 of the content; of a folder, those of its files by
/// their names). Throws Error for one that cannot be read.
GRAFT_API Value files_upstream(const Plan& plan, std::size_t stage, DigestMemo& memo);

/// Throws Error where a file that the model was trained with is not at its place, naming the digest that is
/// wanted. `config`: as prediction_config() gives it. `overrides` ("stage.parameter=value") name files that
/// are elsewhere now.
GRAFT_API void require_files(const TrainedModel& model, const Value& config,
                             const std::vector<std::string>& overrides, const Registry& registry);

/// Throws Error where the file or folder that a parameter names now ("features.model") has another content
/// than the one that the model was trained with, naming both digests.
GRAFT_API void require_same_file(const TrainedModel& model, const std::string& parameter,
                                 const ParamSpec& spec, const std::filesystem::path& path, DigestMemo& memo);

/// The same for every file of the plan.
GRAFT_API void require_same_files(const TrainedModel& model, const Plan& plan, DigestMemo& memo);

}  // namespace graft
