#include "store/listing.h"

#include <algorithm>
#include <utility>

#include "plugin/plugin_call.h"
#include "store/row_index.h"

namespace graft {

namespace {

/// Inputs after which a loop says that it is not stuck.
constexpr std::size_t kInputsPerSign = 65536;
/// The last reasons, with which a new one is compared.
constexpr std::size_t kRecentReasons = 8;

}  // namespace

const StoredReject* Listing::keep(StoredReject reason) {
  const auto begin = rejects_.end() - static_cast<std::ptrdiff_t>(std::min(rejects_.size(), kRecentReasons));
  const auto same = std::find_if(begin, rejects_.end(), [&](const StoredReject& known) {
    return known.text == reason.text && known.code == reason.code && known.stage == reason.stage;
  });
  return same != rejects_.end() ? &*same : &rejects_.emplace_back(std::move(reason));
}

bool is_multi_label(const Listing& listing) {
  return std::any_of(listing.inputs.begin(), listing.inputs.end(), [](const ListedInput& input) {
    return input.split != Split::Test && (input.labels.size() > 1 || input.negative);
  });
}

PagedVector<std::uint32_t> first_of_content(const Listing& listing) {
  RowIndex contents;
  PagedVector<std::uint32_t> first;
  std::uint32_t i = 0;
  for (const ListedInput& input : listing.inputs) {
    const RowPlace* const known = input.content ? contents.find(*input.content) : nullptr;
    first.push_back(known != nullptr ? known->row : i);
    if (input.content && known == nullptr) contents.insert(*input.content, {0, i});
    if (++i % kInputsPerSign == 0) note_progress();
  }
  return first;
}

}  // namespace graft
