#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "graph.h"

namespace graft::nn::onnx {

/// LayerNorm as exporters wrote it before opset 17: (x - mean) / sqrt(mean((x - mean)^2) + eps).
struct LongLayerNorm {
  std::string value;  ///< x
  std::int64_t axis = 0;
  double eps = 0;
};

/// All of them in a graph, by the name of what they give.
std::map<std::string, LongLayerNorm> long_layer_norms(const Graph& graph);

}  // namespace graft::nn::onnx
