#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include <graft/hash.h>

#include "base/assert.h"

namespace graft {

/// Where a committed row is: in which part of the table (a shard or a log), and at which place there.
struct RowPlace {
  std::uint32_t part = 0;
  std::uint32_t row = 0;
};

/// Finds rows by id: open addressing with linear probing, 24 bytes a slot, because tables have millions of
/// rows. Not thread-safe.
class RowIndex {
 public:
  std::size_t size() const { return size_; }
  void clear() {
    slots_.clear();
    size_ = 0;
  }

  /// Makes room for `n` rows more.
  void reserve(std::size_t n) {
    std::size_t slots = slots_.empty() ? 64 : slots_.size();
    while (slots * 3 / 4 < size_ + n) slots *= 2;
    if (slots != slots_.size()) rehash(slots);
  }

  /// The place of a row; nullptr when there is none. Valid until the next insert.
  RowPlace* find(const Digest& id) {
    return const_cast<RowPlace*>(static_cast<const RowIndex*>(this)->find(id));
  }
  const RowPlace* find(const Digest& id) const {
    if (slots_.empty()) return nullptr;
    const Slot& slot = slots_[slot_of(id)];
    return slot.place.part == kEmpty ? nullptr : &slot.place;
  }

  /// The row must not be there yet.
  void insert(const Digest& id, RowPlace place) {
    GRAFT_ASSERT(find(id) == nullptr);
    reserve(1);
    slots_[slot_of(id)] = {id, place};
    ++size_;
  }

 private:
  static constexpr std::uint32_t kEmpty = 0xffffffffu;
  struct Slot {
    Digest id;
    RowPlace place{kEmpty, 0};
  };

  /// Where the id is, or the free slot where it would be. An id is a hash already, but may come from a file
  /// that somebody has made: with factors that he does not know, no ids can be chosen that all meet in one
  /// slot.
  std::size_t slot_of(const Digest& id) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = (id.low * low_factor_ + id.high * high_factor_) >> std::countl_zero(mask);
    while (slots_[at].place.part != kEmpty && slots_[at].id != id) at = (at + 1) & mask;
    return at;
  }

  void rehash(std::size_t slots) {
    std::vector<Slot> old(slots);
    old.swap(slots_);
    for (const Slot& slot : old)
      if (slot.place.part != kEmpty) slots_[slot_of(slot.id)] = slot;
  }

  static std::uint64_t random_odd() {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device() | 1;
  }

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
  std::uint64_t low_factor_ = random_odd(), high_factor_ = random_odd();
};

}  // namespace graft
