#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <graft/params.h>

namespace graft {

/// Which blocks of a backbone are trained, and when.
struct Unfreezing {
  std::vector<std::size_t> blocks;  ///< Ascending; empty: the head alone.
  std::int64_t gradual_epochs =
      0;  ///< Not 0: the head first, then one block more each time these have passed.

  /// Epoch from which a block is trained: the one next to the head after `gradual_epochs`, and so on.
  std::int64_t first_epoch(std::size_t block) const;
};

/// The parameter `unfreeze`: `head`, `last: n`, `blocks: [names]`, `all`, `gradual`.
ParamSpec unfreeze_parameter();

/// Reads it for a backbone of `blocks` blocks. `named` gives the blocks that a name stands for, or throws
/// Error. Throws Error for more blocks than there are.
Unfreezing unfreezing_from(const Params& params, const std::string& backbone, std::size_t blocks,
                           const std::function<std::vector<std::size_t>(const std::string&)>& named);

}  // namespace graft
