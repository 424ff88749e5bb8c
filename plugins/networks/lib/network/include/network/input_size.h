#pragma once

#include <optional>
#include <string>

#include <network/architecture.h>
#include <network/cost.h>

namespace graft::nn {

struct ImageSize {
  int height, width;
};

/// Of "u8[224,224,3]", as StageContext::input_shape has it; nothing where a side is not known.
std::optional<ImageSize> input_size_in(const std::string& shape);

/// cost_of for the images that a stage gets. If the network does not accept them, throws Error for the author
/// of a config, with the layer, the reason and the size that the network was trained on.
Cost cost_for_input(const Architecture& network, ImageSize size);

}  // namespace graft::nn
