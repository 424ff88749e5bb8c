#include <search/provenance.h>

#include <algorithm>

#include <graft/hash.h>

namespace graft::search {

Provenance::Provenance(const RowSet& set, std::vector<std::size_t> positions)
    : positions_(std::move(positions)) {
  for (std::size_t begin = 0, end = 0; begin < positions_.size(); begin = end) {
    const std::string_view key = set.key(positions_[begin]);
    while (end < positions_.size() && set.key(positions_[end]) == key) ++end;
    inputs_.push_back({hash64(key), {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)}});
    begins_.push_back(static_cast<std::uint32_t>(begin));
    widest_ = std::max(widest_, end - begin);
  }
  std::sort(inputs_.begin(), inputs_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
}

RowRange Provenance::of(std::string_view key) const {
  const std::uint64_t hash = hash64(key);
  const auto found = std::lower_bound(inputs_.begin(), inputs_.end(), hash,
                                      [](const auto& input, std::uint64_t h) { return input.first < h; });
  return found != inputs_.end() && found->first == hash ? found->second : RowRange{};
}

RowRange Provenance::of_row(std::uint32_t row) const {
  const auto next = std::upper_bound(begins_.begin(), begins_.end(), row);
  return {*(next - 1), next == begins_.end() ? static_cast<std::uint32_t>(positions_.size()) : *next};
}

}  // namespace graft::search
