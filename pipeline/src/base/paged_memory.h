#pragma once

#include <cstddef>
#include <cstring>
#include <iterator>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <graft/export.h>

namespace graft {

/// Memory for what grows with the number of inputs. It is mapped from a file without a name in the folder for
/// temporary files, so that it need not stay in memory: release() gives the pages back, and the system reads
/// them again when they are used. Where no such file can be made, or `in_memory`, it is plain memory that
/// release() leaves alone. Zero at first.
class GRAFT_API PagedBlock {
 public:
  PagedBlock() = default;
  /// Throws std::bad_alloc.
  explicit PagedBlock(std::size_t bytes, bool in_memory = false);
  PagedBlock(PagedBlock&& other) noexcept { swap(other); }
  PagedBlock& operator=(PagedBlock&& other) noexcept {
    swap(other);
    return *this;
  }
  ~PagedBlock();

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  /// Any thread, also while others use the memory.
  void release() const { release(0, bytes_); }
  /// Pages of [first, last).
  void release(std::size_t first, std::size_t last) const;

 private:
  void swap(PagedBlock& other) noexcept;

  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  bool has_file_ = false;
};

constexpr std::size_t kPagedBlockBytes = std::size_t{1} << 20;

/// A vector in paged memory that only grows; elements stay where they are. What lies far before the end is
/// released while it grows, and so is what an iterator has passed.
template <typename T>
class PagedVector {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  PagedVector() = default;
  PagedVector(PagedVector&& other) noexcept { *this = std::move(other); }
  PagedVector& operator=(PagedVector&& other) noexcept {
    blocks_ = std::move(other.blocks_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) { return at(i); }
  const T& operator[](std::size_t i) const { return at(i); }
  T& back() { return at(size_ - 1); }

  T& push_back(const T& value) {
    const std::size_t within = size_ % kPerBlock;
    if (within == 0) blocks_.emplace_back(kPerBlock * sizeof(T), blocks_.empty());
    if (size_ >= kKept * kPerStep) release_behind(size_ - (kKept - 1) * kPerStep);
    T* const place = reinterpret_cast<T*>(blocks_.back().data()) + within;
    ++size_;
    return *new (place) T(value);
  }
  void clear() {
    blocks_.clear();
    size_ = 0;
  }
  /// The pages of all elements.
  void release() const {
    for (const PagedBlock& block : blocks_) block.release();
  }
  /// What has been passed: some pages before element `i`, every time that there are enough of them.
  void release_behind(std::size_t i) const {
    if (i % kPerStep != 0 || i == 0) return;
    const std::size_t first = (i - kPerStep) % kPerBlock * sizeof(T);
    blocks_[(i - kPerStep) / kPerBlock].release(first, first + kPerStep * sizeof(T));
  }

  template <bool Const>
  class Iterator {
    using Owner = std::conditional_t<Const, const PagedVector, PagedVector>;

   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using reference = std::conditional_t<Const, const T&, T&>;
    using pointer = std::conditional_t<Const, const T*, T*>;

    Iterator() = default;
    Iterator(Owner* owner, std::size_t at) : owner_(owner), at_(at) {}
    reference operator*() const { return (*owner_)[at_]; }
    pointer operator->() const { return &(*owner_)[at_]; }
    Iterator& operator++() {
      owner_->release_behind(++at_);
      return *this;
    }
    Iterator operator++(int) {
      Iterator old = *this;
      ++*this;
      return old;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.at_ == b.at_; }

   private:
    Owner* owner_ = nullptr;
    std::size_t at_ = 0;
  };
  Iterator<false> begin() { return {this, 0}; }
  Iterator<false> end() { return {this, size_}; }
  Iterator<true> begin() const { return {this, 0}; }
  Iterator<true> end() const { return {this, size_}; }

 private:
  static constexpr std::size_t most_in(std::size_t bytes) {
    std::size_t n = 1;
    while (2 * n * sizeof(T) <= bytes) n *= 2;
    return n;
  }
  static constexpr std::size_t kPerBlock = most_in(kPagedBlockBytes),
                               kPerStep = most_in(kPagedBlockBytes / 8);
  static constexpr std::size_t kKept = 4;  // steps

  T& at(std::size_t i) const { return reinterpret_cast<T*>(blocks_[i / kPerBlock].data())[i % kPerBlock]; }

  std::vector<PagedBlock> blocks_;
  std::size_t size_ = 0;
};

/// Texts and lists of numbers one after the other in paged memory; they stay where they are.
class GRAFT_API PagedArena {
 public:
  std::string_view keep(std::string_view text) {
    return {static_cast<const char*>(keep(text.data(), text.size(), 1)), text.size()};
  }
  template <typename T>
  std::span<const T> keep(std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    return {static_cast<const T*>(keep(values.data(), values.size_bytes(), alignof(T))), values.size()};
  }
  void release() const {
    for (const PagedBlock& block : blocks_) block.release();
  }

 private:
  const void* keep(const void* data, std::size_t bytes, std::size_t alignment);

  std::vector<PagedBlock> blocks_;
  std::size_t used_ = 0;  // of the last block
};

}  // namespace graft
