#include "resampling.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <graft/error.h>
#include <graft/hash.h>

namespace graft {

std::vector<std::size_t> stratified_folds(const std::vector<std::int32_t>& labels, std::size_t folds,
                                          Random* shuffle,
                                          const std::function<void(const std::string&)>& warn) {
  // Classes are numbered as they come, then rows are dealt out in the order of these numbers.
  std::map<std::int32_t, std::size_t> number;
  std::vector<std::size_t> code, count;
  for (const std::int32_t label : labels) {
    const auto [at, is_new] = number.emplace(label, count.size());
    if (is_new) count.push_back(0);
    ++count[at->second];
    code.push_back(at->second);
  }
  const std::size_t most = count.empty() ? 0 : *std::max_element(count.begin(), count.end());
  const std::size_t least = count.empty() ? 0 : *std::min_element(count.begin(), count.end());
  if (most < folds)
    throw Error("cv: " + std::to_string(folds) + " folds need a class of as many inputs, the largest has " +
                std::to_string(most) + "; ask for fewer folds, or give the source more inputs");
  if (least < folds)
    warn("the smallest class has " + std::to_string(least) + " inputs, fewer than the " +
         std::to_string(folds) + " folds: some folds have none of it");

  std::vector<std::vector<std::size_t>> dealt(count.size());  // fold of each row of a class
  std::vector<std::vector<std::size_t>> allocation(folds, std::vector<std::size_t>(count.size()));
  std::size_t position = 0;
  for (std::size_t c = 0; c < count.size(); ++c)
    for (std::size_t i = 0; i < count[c]; ++i) ++allocation[position++ % folds][c];
  for (std::size_t c = 0; c < count.size(); ++c) {
    for (std::size_t f = 0; f < folds; ++f) dealt[c].insert(dealt[c].end(), allocation[f][c], f);
    for (std::size_t i = dealt[c].size(); shuffle != nullptr && i > 1; --i)
      std::swap(dealt[c][i - 1], dealt[c][shuffle->below(i)]);
  }
  std::vector<std::size_t> out, used(count.size());
  for (const std::size_t c : code) out.push_back(dealt[c][used[c]++]);
  return out;
}

std::vector<std::vector<std::size_t>> Drawing::by_stratum(const std::vector<std::size_t>& positions) const {
  std::map<std::int32_t, std::vector<std::pair<std::uint64_t, std::size_t>>> strata;
  for (const std::size_t p : positions)
    if (inputs_[p].labelled()) strata[stratum_of(inputs_[p])].emplace_back(hash64(inputs_[p].key, seed_), p);
  std::vector<std::vector<std::size_t>> out;
  for (auto& [stratum, rows] : strata) {
    std::sort(rows.begin(), rows.end());
    out.emplace_back();
    for (const auto& [hash, p] : rows) out.back().push_back(p);
  }
  return out;
}

std::vector<std::size_t> Drawing::take(const std::vector<std::size_t>& from, std::size_t shots) const {
  std::vector<std::size_t> out;
  for (const auto& rows : by_stratum(from))
    out.insert(out.end(), rows.begin(),
               rows.begin() + static_cast<std::ptrdiff_t>(std::min(shots, rows.size())));
  std::sort(out.begin(), out.end());
  return out;
}

Trials::Rows Drawing::divide(const std::vector<std::size_t>& positions, double share) const {
  Trials::Rows rows;
  for (const auto& drawn : by_stratum(positions)) {
    const std::size_t n = drawn.size();
    const auto wanted = static_cast<std::size_t>(std::lround(share * static_cast<double>(n)));
    const std::size_t val = n < 2 || share == 0 ? 0 : std::clamp<std::size_t>(wanted, 1, n - 1);
    const auto cut = drawn.begin() + static_cast<std::ptrdiff_t>(n - val);
    rows.train.insert(rows.train.end(), drawn.begin(), cut);
    rows.val.insert(rows.val.end(), cut, drawn.end());
  }
  std::sort(rows.train.begin(), rows.train.end());
  std::sort(rows.val.begin(), rows.val.end());
  return rows;
}

}  // namespace graft
