#include "strided_copy.h"

#include <algorithm>

#include <graft/error.h>

namespace graft::nn {

StridedCopy::StridedCopy(float* out, const Shape& shape, const Shape& strides, std::int64_t offset)
    : out_(out), in_(offset) {
  std::int64_t contiguous = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 0) done_ = true;
    if (shape[i] != 1) dimensions_.push_back({shape[i], strides[i], contiguous});
    contiguous *= shape[i];
  }
  std::reverse(dimensions_.begin(), dimensions_.end());
  std::stable_sort(dimensions_.begin(), dimensions_.end(),
                   [](const Dimension& a, const Dimension& b) { return a.in > b.in; });
  // The walk below goes forwards only if a step outside leaps over all that is inside.
  std::int64_t inside = 0;
  for (auto d = dimensions_.rbegin(); d != dimensions_.rend() && !done_; ++d) {
    if (d->in < inside || d->in < 0) throw Error("has strides that overlap; save it with .contiguous()");
    inside += (d->size - 1) * d->in;
  }
  // Neighbours that are one stretch in both become one: a contiguous tensor ends with a single dimension.
  std::vector<Dimension> merged;
  for (const Dimension& d : dimensions_) {
    if (!merged.empty() && merged.back().in == d.size * d.in && merged.back().out == d.size * d.out)
      merged.back() = {merged.back().size * d.size, d.in, d.out};
    else
      merged.push_back(d);
  }
  if (merged.empty()) merged.push_back({1, 1, 1});
  dimensions_ = std::move(merged);
  index_.assign(dimensions_.size(), 0);
}

void StridedCopy::feed(const ElementType& type, const std::byte* block, std::int64_t first,
                       std::int64_t count) {
  const std::int64_t end = first + count;
  while (!done_ && in_ < end) {
    const Dimension& inner = dimensions_.back();
    const std::int64_t left = inner.size - index_.back();
    const std::int64_t run = inner.in == 0 ? left : std::min(left, (end - in_ + inner.in - 1) / inner.in);
    const std::byte* from = block + static_cast<std::size_t>(in_ - first) * type.bytes;
    if (inner.in == 1 && inner.out == 1) {
      type.to_float(from, static_cast<std::size_t>(run), out_);
    } else {
      for (std::int64_t i = 0; i < run; ++i)
        type.to_float(from + static_cast<std::size_t>(i * inner.in) * type.bytes, 1, out_ + i * inner.out);
    }
    in_ += run * inner.in;
    out_ += run * inner.out;
    index_.back() += run;
    // Carry: from the end of a dimension back to its beginning, and one step further outside.
    for (std::size_t d = dimensions_.size(); d-- > 0 && index_[d] == dimensions_[d].size;) {
      if (d == 0) {
        done_ = true;
        break;
      }
      in_ += dimensions_[d - 1].in - dimensions_[d].size * dimensions_[d].in;
      out_ += dimensions_[d - 1].out - dimensions_[d].size * dimensions_[d].out;
      index_[d] = 0;
      ++index_[d - 1];
    }
  }
}

}  // namespace graft::nn
