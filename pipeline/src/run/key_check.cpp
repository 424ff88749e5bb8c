#include "run/key_check.h"

#include <cstddef>
#include <string_view>

#include <graft/hash.h>

namespace graft {

bool KeyCheck::repeats(const Listing& listing) {
  const std::size_t last = listing.inputs.size() - 1;
  const std::string_view key = listing.inputs[last].key;
  if (ascending_) {
    if (last == 0 || listing.inputs[last - 1].key < key) return false;
    ascending_ = false;
    std::size_t i = 0;
    for (const ListedInput& input : listing.inputs)
      if (i++ < last) keys_.insert(digest(input.key), {});
  }
  return !keys_.try_insert(digest(key), {});
}

void KeyCheck::clear() {
  *this = KeyCheck();
}

}  // namespace graft
