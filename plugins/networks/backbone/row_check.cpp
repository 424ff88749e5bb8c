#include "row_check.h"

#include <fmt/format.h>

#include <algorithm>

#include <graft/error.h>
#include <graft/random.h>
#include <network/engine_check.h>

using namespace graft;

namespace {

constexpr std::size_t kFirstRows = 8, kOneIn = 1000;
constexpr std::size_t kSizes = 64;  // whose first batch is looked at

}  // namespace

RowCheck::RowCheck(std::uint64_t seed, double allowed, std::string cure)
    : seed_(seed), allowed_(allowed), cure_(std::move(cure)) {}

std::vector<std::size_t> RowCheck::choose(std::span<const Item> items,
                                          const std::vector<std::size_t>& members, int height, int width) {
  std::vector<std::pair<std::uint64_t, std::size_t>> ranks;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const Item& item = items[members[i]];
    ranks.emplace_back(Random(seed_, item.key(), item.view).next(), i);
  }
  std::sort(ranks.begin(), ranks.end());
  const std::lock_guard lock(mutex_);
  std::size_t certain = chosen_ < kFirstRows ? kFirstRows - chosen_ : 0;
  if (sizes_.size() < kSizes && sizes_.insert({height, width}).second)
    certain = std::max(certain, std::size_t{1});
  std::vector<std::size_t> out;
  for (const auto& [rank, i] : ranks)
    if (out.size() < certain || rank % kOneIn == 0) out.push_back(i);
  chosen_ += out.size();
  return out;
}

void RowCheck::compare(std::span<const Item> items, const std::vector<std::size_t>& members,
                       const std::vector<std::size_t>& chosen, const std::vector<std::vector<Tensor>>& rows,
                       const std::vector<std::vector<Tensor>>& again) {
  const std::lock_guard lock(mutex_);
  scale_.resize(rows.front().size());
  for (const std::vector<Tensor>& row : rows)
    for (std::size_t output = 0; output < row.size(); ++output)
      scale_[output] = std::max(scale_[output], nn::largest_value(row[output]));
  for (std::size_t c = 0; c < chosen.size(); ++c) {
    ++compared_;
    for (std::size_t output = 0; output < scale_.size(); ++output) {
      Tensor got = rows[chosen[c]].at(output), wanted = again[c].at(output);
      got.shape.insert(got.shape.begin(), 1);
      wanted.shape.insert(wanted.shape.begin(), 1);
      const double off = nn::largest_difference(got, 0, wanted, 0);
      if (scale_[output] > 0) largest_ = std::max(largest_, off / scale_[output]);
      if (off <= allowed_ * scale_[output]) continue;
      throw FatalError(
          fmt::format("item '{}': its features differ by {:.1e} of {:.1e} from the reference, which computes "
                      "the image alone and layer by layer (rounding explains {:.0e} of the largest value): "
                      "they are wrong, and rows that this run stored earlier may be wrong, too; {}",
                      items[members[chosen[c]]].key(), off, scale_[output], allowed_, cure_));
    }
  }
}

Value RowCheck::facts() const {
  const std::lock_guard lock(mutex_);
  return Value::Map{{"rows", Value(static_cast<std::uint64_t>(compared_))},
                    {"largest_difference", largest_},
                    {"allowed", allowed_}};
}
