#pragma once

#include <cstdint>
#include <vector>

#include <graft/hash.h>

#include "store/listing.h"

namespace graft {

/// Finds keys that a source gives twice, at four bytes a slot: lists have millions of inputs.
class KeySet {
 public:
  /// Whether the key of the listing's last input is new.
  bool add_last(const Listing& listing) {
    const std::size_t n = listing.inputs.size();
    if (n * 4 >= slots_.size() * 3) grow(listing);
    return insert(listing, static_cast<std::uint32_t>(n - 1));
  }
  void clear() { slots_ = {}; }

 private:
  static constexpr std::uint32_t kEmpty = 0xffffffffu;

  bool insert(const Listing& listing, std::uint32_t input) {
    const std::string_view key = listing.inputs[input].key;
    std::size_t at = hash64(key) & (slots_.size() - 1);
    for (; slots_[at] != kEmpty; at = (at + 1) & (slots_.size() - 1))
      if (listing.inputs[slots_[at]].key == key) return false;
    slots_[at] = input;
    return true;
  }
  void grow(const Listing& listing) {
    slots_.assign(slots_.empty() ? 64 : slots_.size() * 2, kEmpty);
    for (std::uint32_t i = 0; i + 1 < listing.inputs.size(); ++i) insert(listing, i);
  }

  std::vector<std::uint32_t> slots_;
};

}  // namespace graft
