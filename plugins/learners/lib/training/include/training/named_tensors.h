#pragma once

#include <string>
#include <utility>
#include <vector>

namespace at {
class Tensor;
}

namespace graft::training {

/// Tensors by path, in a fixed order.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

}  // namespace graft::training
