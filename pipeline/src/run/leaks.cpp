#include "run/leaks.h"

#include <unordered_map>

#include <fmt/format.h>

namespace graft {

std::string find_leaks(const Listing& listing) {
  std::unordered_map<Digest, const ListedInput*> first;
  std::size_t leaks = 0;
  std::string pair;
  for (const ListedInput& input : listing.inputs) {
    if (!input.content || input.reject) continue;
    const auto [known, is_new] = first.emplace(*input.content, &input);
    if (is_new || known->second->split == input.split) continue;
    if (++leaks == 1)
      pair = fmt::format("'{}' ({}) and '{}' ({})", known->second->key, to_string(known->second->split),
                         input.key, to_string(input.split));
  }
  if (leaks == 0) return {};
  return fmt::format(
      "{} {} the content of an input of another split, {}: figures of val and test are then too good; remove "
      "the copies, or let them share a split (group, or their folder)",
      leaks, leaks == 1 ? "input has" : "inputs have", leaks == 1 ? pair : pair + " for one");
}

}  // namespace graft
