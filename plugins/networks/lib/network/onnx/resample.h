#pragma once

#include "evaluate.h"

namespace graft::nn::onnx {

/// Resize: nearest, linear or cubic along each axis, by its scales where it has them, else by sizes.
Array resample(const Node& node, std::int64_t opset, const std::vector<ArrayPtr>& inputs, Effort& effort);

}  // namespace graft::nn::onnx
