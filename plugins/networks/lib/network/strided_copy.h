#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <graft/payload.h>

#include <network/element.h>

namespace graft::nn {

/// Makes a tensor that lies in a storage with any strides contiguous, while the storage passes by in blocks
/// from its beginning to its end: no storage is ever held whole. Elements are taken in the order in which
/// they lie, which works for every tensor that PyTorch makes by slicing, permuting and expanding.
class StridedCopy {
 public:
  /// Offset and strides in elements. Throws Error for strides that are negative or overlap.
  StridedCopy(float* out, const Shape& shape, const Shape& strides, std::int64_t offset);

  /// The next block: `count` elements that begin at element `first` of the storage.
  void feed(const ElementType& type, const std::byte* block, std::int64_t first, std::int64_t count);
  bool done() const { return done_; }

 private:
  struct Dimension {
    std::int64_t size, in, out;  ///< Strides of the storage and of the contiguous tensor.
  };

  std::vector<Dimension> dimensions_;  ///< Outermost in the storage first; the last is walked in runs.
  std::vector<std::int64_t> index_;
  float* out_;
  std::int64_t in_;  ///< Where the next element lies in the storage.
  bool done_ = false;
};

}  // namespace graft::nn
