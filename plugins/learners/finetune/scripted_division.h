#pragma once

#include <memory>
#include <optional>

#include "divided_network.h"

namespace graft {

/// Of the code in a TorchScript file: what cannot be described is not split, so nothing of it is in front
/// unless all is. `forget`: seed of random weights in place of its own.
std::unique_ptr<DividedNetwork> divide_script(const std::string& path, const Params& params,
                                              std::optional<std::uint64_t> forget, std::size_t outputs,
                                              int height, int width);
/// `path`: of the TorchScript file, which the bundle knows by its digest alone; empty: there is none.
LoadedNetwork load_script(const Bundle& bundle, const std::string& path);

/// Blocks of a model by the paths of its parameters, in their order: a block is what has the same path up to
/// its first number ("layer1.0"), or the same first part; one that has no matrix joins the one before.
struct PathBlock {
  std::string name;
  std::vector<std::string> paths;
};
std::vector<PathBlock> blocks_of_paths(const std::vector<std::pair<std::string, std::size_t>>& dimensions);

}  // namespace graft
