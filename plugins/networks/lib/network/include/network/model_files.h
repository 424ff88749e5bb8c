#pragma once

#include <filesystem>
#include <memory>

#include <graft/value.h>
#include <preprocessing/preprocessing.h>

#include <network/weight_file.h>

namespace graft::nn {

/// The files of a published model: weights, and what is said of them beside them. A model is a file of
/// weights, or a folder as timm, Hugging Face and OpenCLIP publish them, in which the weights are a file or
/// several with an index. Nothing in them is executed.
struct ModelFiles {
  std::filesystem::path path;     ///< As given: a file or a folder.
  std::filesystem::path weights;  ///< A file, or the index of several.
  Value config;                   ///< config.json; null where there is none, as the next two.
  Value preprocessor;             ///< preprocessor_config.json
  Value open_clip;                ///< open_clip_config.json
  preprocessing::Rules rules = preprocessing::Rules::OfFiles;  ///< As the user says.
};

/// Looks a model's files up; a file comes alone. Throws Error for a folder without weights or with several,
/// for the index of several files (the folder is their name), and for a description that is not JSON or
/// larger than 16 MiB.
ModelFiles find_model_files(const std::filesystem::path& model);

/// Opens the weights: as open_weights, or the parts that an index names as one file. Throws Error with the
/// path for a part that is missing or is named otherwise than model_folder_files(), and for a tensor that is
/// not in the part where the index has it.
std::unique_ptr<WeightFile> open_weights(const ModelFiles& files);

}  // namespace graft::nn
