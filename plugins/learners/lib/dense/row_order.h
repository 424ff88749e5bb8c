#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <graft/predictor.h>

#include <dense/examples.h>

namespace graft::dense {

/// The rows of every epoch in a new random order, a pure function of the seed and the epoch. Blocks are
/// shuffled first; then windows of blocks, about 64 MiB of features, are taken one after the other and the
/// rows of each are shuffled. So a table that is not in memory is read once an epoch, block by block, and has
/// the very order that it would have in memory; rows of smaller tables are in a random order altogether. Not
/// thread-safe.
class RowOrder {
 public:
  /// `examples` must outlive this.
  RowOrder(const Examples& examples, std::uint64_t seed);

  void start(std::int64_t epoch);
  /// Goes on to the next window of the epoch and reads it; false at the end.
  bool next(Parallel& parallel);
  /// Rows of the window, shuffled.
  const std::vector<std::size_t>& rows() const { return rows_; }
  /// Features of a row of the window.
  const float* features(std::size_t row) const {
    const std::size_t block = row / examples_.block_rows();
    return starts_[block] + (row - examples_.begin(block)) * examples_.dim();
  }

 private:
  const Examples& examples_;
  std::uint64_t seed_;
  std::int64_t epoch_ = 0;
  std::size_t window_blocks_;
  std::size_t next_ = 0;                  ///< First block of the next window, in order_.
  std::vector<std::size_t> order_;        ///< Of blocks.
  std::vector<const float*> starts_;      ///< Features of each block, while it is in the window or in memory.
  std::vector<std::vector<float>> read_;  ///< Blocks of the window, unless all are in memory.
  std::vector<std::size_t> rows_;
};

}  // namespace graft::dense
