#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace graft::model {

/// Weights that torchvision has published. The eight hexadecimal digits before ".pth" are the beginning of
/// the file's SHA-256 (torch.hub, load_state_dict_from_url).
struct Checkpoint {
  const char* architecture;
  const char* file;

  std::string_view digest() const;
};

const std::vector<Checkpoint>& checkpoints();

/// Null when torchvision has none of that architecture.
const Checkpoint* checkpoint_of(std::string_view architecture);

}  // namespace graft::model
