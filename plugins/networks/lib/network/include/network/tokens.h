#pragma once

#include <map>
#include <optional>
#include <string>

#include <graft/payload.h>

#include <network/architecture.h>

namespace graft::nn {

/// What lies in the tokens [n,d] of a network: those of the class and of registers in front, then the patches
/// of the image, row by row.
struct TokenLayout {
  int class_tokens = 0, prefix = 0;  ///< The class tokens are the first of the prefix.
  int rows = 0, columns = 0;         ///< Of patches.
};

/// Nothing for a network that makes no tokens of its images, and for images that it does not take.
std::optional<TokenLayout> token_layout(const Architecture& network, int height, int width);

/// The last layer on the way to the tap that gives tokens; empty: none does.
std::string last_tokens(const Architecture& network);

/// The tokens of `layer`, through the norm that the network has after its last block: adds a layer at the
/// end, with the weights of that norm where `weights` has them, and returns its name. The norm itself where
/// it is that layer's already. Throws Error for a network without such a norm.
std::string add_last_norm(Architecture& network, const std::string& layer,
                          std::map<std::string, Tensor>* weights);

/// The name of the norm that add_last_norm() takes; empty: none.
std::string last_norm(const Architecture& network);

}  // namespace graft::nn
