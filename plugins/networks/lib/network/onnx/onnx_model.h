#pragma once

#include <memory>

#include <network/input_file.h>
#include <network/model_files.h>
#include <network/published.h>
#include <network/weight_file.h>

namespace graft::nn::onnx {

/// The initializers of a model as weights. Throws Error with the path.
std::unique_ptr<WeightFile> open_initializers(std::unique_ptr<InputFile> file);

/// The model as a network of graft's own operations, for one image. Throws Error with the path, and with the
/// node where graft has no operation for it.
Published read_model(const ModelFiles& files);

/// As difference_from_graph().
double compare_with_graph(const ModelFiles& files, const Published& lowered);

}  // namespace graft::nn::onnx
