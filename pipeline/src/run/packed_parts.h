#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <graft/value.h>

#include "plugin/registry.h"
#include "run/trained_model.h"

namespace graft {

/// A part of a packed model: a text, or the content of a file.
struct ModelPart {
  std::string name;  ///< With slashes between folders.
  std::string text;
  std::filesystem::path file;  ///< Empty: the text.
};

/// What a model of a run needs to predict, as the folder of a run: config.yaml, whose paths lead to parts,
/// the bundle in models/ID, the networks in files/ (of a folder, the files that count), the run's own config
/// in provenance/. `overrides`: new places of files, as --set gives them. Throws Error, also for a file that
/// is not the one that the model was trained with.
std::vector<ModelPart> parts_of_model(const TrainedModel& model, const Registry& registry,
                                      const std::vector<std::string>& overrides);

/// What graft-model.json says beside the parts: learner, classes, scores, versions, where it comes from.
Value facts_of_model(const TrainedModel& model, const Registry& registry, bool has_code);

/// Whether a file is a zip archive with code for TorchScript in it, by the names of its members. Throws Error
/// where it cannot be read, and for an archive whose list of members is not what every reader sees.
bool holds_code(const std::filesystem::path& file);

/// Throws Error, which says how to allow it, unless `parts` of `where` that hold code are none.
void refuse_code(const std::string& where, const std::vector<std::filesystem::path>& parts);

/// Whether a name of a part leads to nowhere but below the folder that parts are unpacked into, on every file
/// system, and holds no variable for a config to expand.
bool is_name_of_part(const std::string& name);

}  // namespace graft
