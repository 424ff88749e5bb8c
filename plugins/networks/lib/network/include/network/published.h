#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <network/architecture.h>
#include <network/model_files.h>
#include <network/weight_file.h>

namespace graft::nn {

/// A model of a family whose sizes stand in its files: of networks such as a ViT there is no list.
struct Published {
  Architecture architecture;
  /// Its tensors by the paths that the architecture has for them, made of those of the file.
  std::unique_ptr<WeightFile> weights;
  /// What was taken from where, and what was guessed, a line each.
  std::vector<std::string> notes;
};

/// Finds out which family a model is of, by the names of its tensors, and takes sizes from their shapes and
/// from the files beside them. `heads`: of attention, where nothing in the files tells. Nothing for a model
/// of no such family. Throws Error for files that contradict each other, for tensors that are missing or of
/// another shape, and where the number of heads is unknown. Tensors are not read, but for a few small ones.
std::optional<Published> open_published(const ModelFiles& files, std::optional<int> heads = {});

}  // namespace graft::nn
