#include "run/leaks.h"

#include <vector>

#include <fmt/format.h>

namespace graft {

std::string find_leaks(const Listing& listing) {
  const std::vector<std::uint32_t> first = first_of_content(listing);
  std::size_t leaks = 0;
  std::string pair;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const ListedInput &input = listing.inputs[i], &other = listing.inputs[first[i]];
    if (input.reject || other.split == input.split) continue;
    if (++leaks == 1)
      pair = fmt::format("'{}' ({}) and '{}' ({})", other.key, to_string(other.split), input.key,
                         to_string(input.split));
  }
  if (leaks == 0) return {};
  return fmt::format(
      "{} {} the content of an input of another split, {}: figures of val and test are then too good; remove "
      "the copies, or let them share a split (group, or their folder)",
      leaks, leaks == 1 ? "input has" : "inputs have", leaks == 1 ? pair : pair + " for one");
}

}  // namespace graft
