#include "store/listing.h"

#include <algorithm>
#include <bit>

namespace graft {

bool is_multi_label(const Listing& listing) {
  return std::any_of(listing.inputs.begin(), listing.inputs.end(), [](const ListedInput& input) {
    return input.split != Split::Test && (input.labels.size() > 1 || input.negative);
  });
}

std::vector<std::uint32_t> first_of_content(const Listing& listing) {
  constexpr std::uint32_t kEmpty = 0xffffffffu;
  // Open addressing by content, four bytes a slot: lists have millions of inputs. A content is a hash
  // already.
  const std::size_t n = listing.inputs.size();
  std::vector<std::uint32_t> slots(std::bit_ceil(n * 4 / 3 + 1), kEmpty);
  std::vector<std::uint32_t> first(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    first[i] = i;
    const auto& content = listing.inputs[i].content;
    if (!content) continue;
    std::size_t at = content->low & (slots.size() - 1);
    while (slots[at] != kEmpty && listing.inputs[slots[at]].content != content)
      at = (at + 1) & (slots.size() - 1);
    if (slots[at] == kEmpty)
      slots[at] = i;
    else
      first[i] = slots[at];
  }
  return first;
}

}  // namespace graft
