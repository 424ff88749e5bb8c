#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include <graft/payload.h>

namespace graft::fused {

/// Numbers that are those of a model's tensor, not a copy, until they are changed. Not thread-safe.
class SharedValues {
 public:
  SharedValues() = default;
  /// `values`: F32.
  explicit SharedValues(Tensor values)
      : values_(std::move(values)), size_(static_cast<std::size_t>(values_.size())) {}
  SharedValues(std::size_t size, float value)
      : SharedValues(Tensor::allocate(DType::F32, {static_cast<std::int64_t>(size)})) {
    std::fill_n(values_.as<float>(), size, value);
  }

  std::size_t size() const { return size_; }
  const float* data() const { return values_.as<float>(); }
  float operator[](std::size_t i) const { return data()[i]; }
  /// For changes; whoever else has them keeps them as they are.
  float* own() {
    if (values_.owner.use_count() != 1) *this = part(0, size_);
    return values_.as<float>();
  }
  /// A copy of some of them.
  SharedValues part(std::size_t first, std::size_t count) const {
    SharedValues out(count, 0.0f);
    std::copy_n(data() + first, count, out.values_.as<float>());
    return out;
  }
  /// Only their number is left.
  void release() { values_ = {}; }

 private:
  Tensor values_;
  std::size_t size_ = 0;
};

}  // namespace graft::fused
