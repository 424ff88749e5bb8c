#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <network/architecture.h>

namespace graft::nn {

/// A run of layers that people take for one: a residual block, an inverted residual, a separable
/// convolution, a stage of VGG. Nothing but its input leads into it from before.
struct LayerBlock {
  std::string name;
  std::size_t first = 0, last = 0;  ///< Layers [first, last).
};

/// All layers of a network in blocks, one after the other; each has weights.
///
/// The blocks that the architecture itself names stay as they are. Where there are none (VGG, lenet, a
/// network that was read from TorchScript), a block begins at every sum of branches and at every linear
/// layer, and then
///
///     in a plain chain with several max pools      after each pool
///     else                                         at every convolution; but a depthwise one belongs to the
///                                                  1 x 1 that widens in front of it, and the next 1 x 1 to
///                                                  it
///
/// and has the name of its first layer with weights.
std::vector<LayerBlock> blocks_of(const Architecture& architecture);

/// The blocks in which a layer has this name, or a name that begins with it and a dot, in order: "layer4"
/// means "layer4.0" and "layer4.1". Throws Error that lists the blocks where there is none.
std::vector<std::size_t> blocks_named(const Architecture& architecture, const std::vector<LayerBlock>& blocks,
                                      const std::string& name);

/// The one value that layer `index` and all after it take from before, "input" among them; nothing where
/// they take several.
std::optional<std::string> value_before(const Architecture& architecture, std::size_t index);

}  // namespace graft::nn
