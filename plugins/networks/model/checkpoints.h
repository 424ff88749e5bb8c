#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace graft::model {

/// Weights that torchvision has published.
struct Checkpoint {
  std::string architecture;
  std::string file;
  std::string sha256;            ///< All 64 digits; empty: not known to graft.
  std::uint64_t bytes = 0;       ///< Exactly; 0: not known.
  std::uint64_t most_bytes = 0;  ///< It has no more.

  /// The eight digits before ".pth": the beginning of the file's SHA-256, which is enough to see damage. A
  /// file that has them, too, is made in minutes.
  std::string name_digest() const { return file.substr(file.rfind('-') + 1, 8); }
};

const std::vector<Checkpoint>& checkpoints();

/// Null when torchvision has none of that architecture.
const Checkpoint* checkpoint_of(std::string_view architecture);

}  // namespace graft::model
