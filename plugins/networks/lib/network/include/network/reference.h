#pragma once

#include <map>
#include <string>
#include <vector>

#include <graft/payload.h>

#include <network/architecture.h>
#include <network/operation.h>

namespace graft::nn {

/// A network by plain loops, in double precision: what engines are compared with. `image`: 3 x height x
/// width. Gives the value of each layer that is named in `outputs`. Throws Error for an image that the
/// network does not take, and for a tensor that is missing.
std::vector<PlainValue> reference(const Architecture& network, const std::map<std::string, Tensor>& weights,
                                  const std::vector<float>& image, int height, int width,
                                  const std::vector<std::string>& outputs);

}  // namespace graft::nn
