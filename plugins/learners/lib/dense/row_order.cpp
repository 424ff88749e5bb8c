#include "row_order.h"

#include <algorithm>
#include <numeric>
#include <string>

#include <graft/random.h>

namespace graft::dense {
namespace {

constexpr std::size_t kWindowBytes = std::size_t{64} << 20;

void shuffle(std::vector<std::size_t>& values, Random& random) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random.below(i)]);
}

}  // namespace

RowOrder::RowOrder(const Examples& examples, std::uint64_t seed)
    : examples_(examples),
      seed_(seed),
      window_blocks_(std::max<std::size_t>(
          1,
          kWindowBytes / (sizeof(float) * std::max<std::size_t>(1, examples.block_rows() * examples.dim())))),
      starts_(examples.blocks()),
      read_(examples.in_memory() ? 0 : std::min(window_blocks_, examples.blocks())) {
  if (!examples.in_memory()) return;
  std::vector<float> unused;
  for (std::size_t b = 0; b < starts_.size(); ++b) starts_[b] = examples.block(b, unused);
}

void RowOrder::start(std::int64_t epoch) {
  epoch_ = epoch;
  next_ = 0;
  order_.resize(examples_.blocks());
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  Random random(seed_, "blocks", static_cast<std::uint32_t>(epoch));
  shuffle(order_, random);
}

bool RowOrder::next(Parallel& parallel) {
  if (next_ == order_.size()) return false;
  const std::size_t first = next_;
  next_ = std::min(order_.size(), first + window_blocks_);
  rows_.clear();
  for (std::size_t i = first; i < next_; ++i) {
    const std::size_t begin = examples_.begin(order_[i]);
    for (std::size_t r = 0; r < examples_.count(order_[i]); ++r) rows_.push_back(begin + r);
  }
  Random random(seed_, "rows " + std::to_string(first), static_cast<std::uint32_t>(epoch_));
  shuffle(rows_, random);
  if (!examples_.in_memory()) {
    parallel.for_each(next_ - first, [&](std::size_t i) {
      starts_[order_[first + i]] = examples_.block(order_[first + i], read_[i]);
    });
  }
  return true;
}

}  // namespace graft::dense
