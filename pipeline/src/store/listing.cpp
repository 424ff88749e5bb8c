#include "store/listing.h"

#include "store/row_index.h"

namespace graft {

std::vector<std::uint32_t> first_of_content(const Listing& listing) {
  RowIndex seen;
  seen.reserve(listing.inputs.size());
  std::vector<std::uint32_t> first(listing.inputs.size());
  for (std::uint32_t i = 0; i < first.size(); ++i) {
    first[i] = i;
    const auto& content = listing.inputs[i].content;
    if (!content) continue;
    if (const RowPlace* known = seen.find(*content))
      first[i] = known->row;
    else
      seen.insert(*content, {0, i});
  }
  return first;
}

}  // namespace graft
