#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <graft/value.h>

#include "base/temporary_folder.h"
#include "plugin/registry.h"
#include "run/trained_model.h"

/// \file
/// A model in one file: a zip, its parts stored as they are, the same bytes for the same model. The first
/// part, graft-model.json, says what it is, and has size and SHA-256 of every other; the comment of the zip
/// has its own SHA-256. Readers accept the bytes that the writer writes, and no others.

namespace graft {

/// Writes a model with everything that it needs: its config, bundle, networks, scores, provenance and card.
/// `out` appears when it is complete. Gives the content of graft-model.json, in which `other_plugins` names
/// those that users of the model need beside Graft. Throws Error, for example for a
/// network that is TorchScript unless `code` is allowed. `overrides`: new places of files, as --set gives
/// them.
GRAFT_API Value pack_model(const TrainedModel& model, const Registry& registry, Code code,
                           const std::filesystem::path& out, const std::vector<std::string>& overrides = {});

/// What a packed model says of itself.
struct PackedModel {
  Value facts;       ///< graft-model.json.
  std::string card;  ///< card.md.
};
/// Checks every byte of the file. Throws Error: no packed model, cut short, damaged, of a future version.
GRAFT_API PackedModel read_packed_model(const std::filesystem::path& file);

struct Unpacked {
  std::shared_ptr<const TemporaryFolder> folder;  ///< As the folder of a run, with this one model.
  std::string learner;
  std::string neighbours;  ///< As TrainedModel::neighbours.
};
/// The same, and writes the parts into a temporary folder. Throws Error, also for code where it is refused.
GRAFT_API Unpacked unpack_model(const std::filesystem::path& file, Code code);

}  // namespace graft
