#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace graft {

/// Finds the rows of a list that have a key, at 11 to 21 bytes per row: lists have millions of them. The keys
/// themselves are kept by whoever asks. Used by one thread.
class KeyTable {
 public:
  /// Of the rows whose key has this hash, the first for which `is_it` holds.
  template <typename IsIt>
  std::optional<std::uint32_t> find(std::uint64_t hash, IsIt is_it) const {
    if (slots_.empty()) return {};
    for (std::size_t at = home(hash); slots_[at] != 0; at = (at + 1) & (slots_.size() - 1)) {
      const auto row = static_cast<std::uint32_t>(slots_[at]) - 1;
      if (slots_[at] >> 32 == hash >> 32 && is_it(row)) return row;
    }
    return {};
  }
  /// Rows are below 2^32 - 1.
  void add(std::uint64_t hash, std::uint32_t row) {
    if (4 * (size_ + 1) > 3 * slots_.size()) grow();
    insert((hash >> 32) << 32 | (row + 1));
    ++size_;
  }
  void clear() {
    decltype(slots_)().swap(slots_);  // {} would keep its memory
    size_ = 0;
  }

 private:
  std::size_t home(std::uint64_t hash) const {
    return (hash >> 32) >> (32 - static_cast<unsigned>(std::countr_zero(slots_.size())));
  }
  void insert(std::uint64_t element) {
    std::size_t at = home(element);
    while (slots_[at] != 0) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = element;
  }
  void grow() {
    std::vector<std::uint64_t> old(slots_.empty() ? 1024 : 2 * slots_.size());
    old.swap(slots_);
    for (const std::uint64_t element : old)
      if (element != 0) insert(element);
  }

  std::vector<std::uint64_t> slots_;  // upper half of the hash << 32 | row + 1; 0: free. 2^32 at most.
  std::size_t size_ = 0;
};

}  // namespace graft
