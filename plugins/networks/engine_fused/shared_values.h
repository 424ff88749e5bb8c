#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include <graft/payload.h>

namespace graft::fused {

/// Numbers that are those of a model's tensor, not a copy, until they are changed. One thread.
class SharedValues {
 public:
  SharedValues() = default;
  /// `values`: F32.
  explicit SharedValues(Tensor values)
      : values_(std::move(values)), size_(static_cast<std::size_t>(values_.size())) {}
  SharedValues(std::size_t size, float value)
      : SharedValues(Tensor::allocate(DType::F32, {static_cast<std::int64_t>(size)})) {
    is_own_ = true;
    std::fill_n(values_.as<float>(), size, value);
  }

  std::size_t size() const { return size_; }
  const float* data() const { return values_.as<float>(); }
  float operator[](std::size_t i) const { return data()[i]; }
  /// For changes; the model's tensor stays as it is.
  float* own() {
    if (!is_own_) *this = part(0, size_);
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
  bool is_own_ = false;
};

}  // namespace graft::fused
