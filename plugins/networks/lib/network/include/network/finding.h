#pragma once

#include <string>

namespace graft::nn {

/// One thing that is known of a model, and from where: a tensor, a file beside the weights, the family.
struct Finding {
  std::string what, value, from;
};

}  // namespace graft::nn
