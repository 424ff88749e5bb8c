#pragma once

#include <memory>

#include "divided_network.h"

namespace graft {

/// Of a described network up to the layer `features`.
std::unique_ptr<DividedNetwork> divide_described(const nn::Model& model, const std::string& features,
                                                 const Params& params, const Engines& engines,
                                                 std::size_t outputs, int height, int width);
LoadedNetwork load_described(const Bundle& bundle, const Engines& engines);

/// Throws Error where the parameter `unfreeze` asks for blocks that the network does not have.
void check_blocks(const nn::Architecture& network, const Params& params);

/// The parameter `unfreeze` for blocks of these names: what is trained, but for the paths.
std::vector<DividedNetwork::TrainedBlock> trained_blocks(
    const Params& params, const std::string& backbone, const std::vector<std::string>& blocks,
    const std::function<std::vector<std::size_t>(const std::string&)>& named);

}  // namespace graft
