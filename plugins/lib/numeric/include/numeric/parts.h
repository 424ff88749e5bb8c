#pragma once

#include <algorithm>
#include <cstddef>

namespace graft::numeric {

/// Cuts blocks into contiguous runs, each with a partial sum of its own. How many there are follows from the
/// data and from memory, never from threads, so that sums taken part by part are the same everywhere.
class Parts {
 public:
  Parts(std::size_t blocks, std::size_t bytes_per_part)
      : blocks_(blocks),
        count_(std::clamp(kBytes / std::max<std::size_t>(bytes_per_part, 1), std::size_t{1},
                          std::clamp(blocks, std::size_t{1}, kMost))) {}

  std::size_t count() const { return count_; }
  /// First block of a part; that of part count() is the number of blocks.
  std::size_t begin(std::size_t part) const { return part * blocks_ / count_; }

 private:
  static constexpr std::size_t kMost = 32;
  static constexpr std::size_t kBytes = std::size_t{256} << 20;  // for all partial sums together

  std::size_t blocks_;
  std::size_t count_;
};

}  // namespace graft::numeric
