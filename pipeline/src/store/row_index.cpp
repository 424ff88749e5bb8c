#include "store/row_index.h"

#include <algorithm>
#include <bit>
#include <random>
#include <utility>

#include "base/assert.h"

namespace graft {
namespace {

/// Entries that are held in memory until they are merged; the table that finds them has twice as many slots.
constexpr std::size_t kMostRecent = 65536;
constexpr std::size_t kFilterBitsPerEntry = 10, kFilterProbes = 5, kLineWords = 8;
/// A search touches a few pages, beside which the system maps others: after 16 of them they are released.
constexpr std::uint32_t kSearch = 2048, kNext = 1, kMostTouched = 16 * kSearch;
/// Shards that one list is put together from, without a search for each row.
constexpr std::size_t kCursors = 64;
/// Elements between two releases of what a merge has passed.
constexpr std::size_t kMergeStep = 16384;

std::uint64_t random_odd() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device() | 1;
}

std::uint32_t position_in(std::uint64_t element) {
  return static_cast<std::uint32_t>(element);
}

/// Upper half of a hash and a position: what the sorted array has.
std::uint64_t element_of(std::uint64_t hash, std::uint32_t position) {
  return (hash >> 32) << 32 | position;
}

/// floor(x * n / 2^64).
std::size_t scaled(std::uint64_t x, std::size_t n) {
  return static_cast<std::size_t>(static_cast<unsigned __int128>(x) * n >> 64);
}

}  // namespace

RowIndex::RowIndex() : low_factor_(random_odd()), high_factor_(random_odd()) {}

RowIndex& RowIndex::operator=(RowIndex&& other) noexcept {
  entries_ = std::move(other.entries_);
  recent_ = std::move(other.recent_);
  merged_ = std::exchange(other.merged_, 0);
  sorted_ = std::move(other.sorted_);
  filter_ = std::move(other.filter_);
  filter_capacity_ = std::exchange(other.filter_capacity_, 0);
  low_factor_ = other.low_factor_;
  high_factor_ = other.high_factor_;
  last_ = other.last_.load();
  cursors_ = std::move(other.cursors_);
  touched_ = other.touched_.load();
  return *this;
}

const RowPlace* RowIndex::find(const Digest& id) const {
  if (entries_.empty()) return nullptr;
  const std::size_t last = last_.load(std::memory_order_relaxed);
  for (const std::size_t next : {last + 1, last})
    if (next < entries_.size() && entries_[next].id == id) {
      if (next < merged_) note_touch(kNext);
      last_.store(static_cast<std::uint32_t>(next), std::memory_order_relaxed);
      return &entries_[next].place;
    }
  const std::uint64_t hash = hash_of(id);
  const Entry* entry = find_recent(id, hash);
  if (entry == nullptr && may_have(hash)) {
    entry = find_next(id);
    if (entry == nullptr) entry = find_sorted(id, hash);
  }
  return entry == nullptr ? nullptr : &entry->place;
}

const RowIndex::Entry* RowIndex::find_next(const Digest& id) const {
  for (std::size_t i = 0; i < kCursors; ++i) {
    const std::size_t next = std::size_t{cursors_[i].load(std::memory_order_relaxed)} + 1;
    if (next >= merged_ || entries_[next].id != id) continue;
    note_touch(kNext);
    cursors_[i].store(static_cast<std::uint32_t>(next), std::memory_order_relaxed);
    last_.store(static_cast<std::uint32_t>(next), std::memory_order_relaxed);
    return &entries_[next];
  }
  return nullptr;
}

const RowIndex::Entry* RowIndex::find_recent(const Digest& id, std::uint64_t hash) const {
  if (recent_.empty()) return nullptr;
  const std::size_t mask = recent_.size() - 1;
  for (std::size_t at = hash >> std::countl_zero(mask); recent_[at] != 0; at = (at + 1) & mask)
    if (const std::uint32_t entry = recent_[at] - 1; entries_[entry].id == id) {
      last_.store(entry, std::memory_order_relaxed);
      return &entries_[entry];
    }
  return nullptr;
}

/// Hashes are spread evenly: where one would be is known to within a few hundred places.
const RowIndex::Entry* RowIndex::find_sorted(const Digest& id, std::uint64_t hash) const {
  note_touch(kSearch);
  const auto* const sorted = reinterpret_cast<const std::uint64_t*>(sorted_.data());
  const std::uint64_t wanted = element_of(hash, 0);
  const std::size_t guess = scaled(hash, merged_);
  std::size_t low = guess, high = guess, step = 64;
  while (low > 0 && sorted[low] >= wanted) {
    low -= std::min(low, step);
    step *= 2;
  }
  for (step = 64; high < merged_ && sorted[high] < wanted; step *= 2) high = std::min(merged_, high + step);
  for (const std::uint64_t* at = std::lower_bound(sorted + low, sorted + high, wanted);
       at != sorted + merged_ && *at >> 32 == wanted >> 32; ++at)
    if (const std::uint32_t entry = position_in(*at); entries_[entry].id == id) {
      last_.store(entry, std::memory_order_relaxed);
      cursors_[oldest_.fetch_add(1, std::memory_order_relaxed) % kCursors].store(entry,
                                                                                 std::memory_order_relaxed);
      return &entries_[entry];
    }
  return nullptr;
}

void RowIndex::note_touch(std::uint32_t weight) const {
  if (touched_.fetch_add(weight, std::memory_order_relaxed) < kMostTouched) return;
  touched_.store(0, std::memory_order_relaxed);
  entries_.release();
  sorted_.release();
}

void RowIndex::insert(const Digest& id, RowPlace place) {
  GRAFT_ASSERT(find(id) == nullptr);
  const auto entry = static_cast<std::uint32_t>(entries_.size());
  GRAFT_ASSERT(entries_.size() < 0xfffffffeu);
  entries_.push_back({id, place});
  remember(entry, hash_of(id));
  if (entries_.size() - merged_ == kMostRecent) merge_recent();
}

bool RowIndex::try_insert(const Digest& id, RowPlace place) {
  if (find(id) != nullptr) return false;
  insert(id, place);
  return true;
}

void RowIndex::keep_if(const std::function<bool(const Digest&)>& wanted) {
  RowIndex kept;
  for (const Entry& entry : entries_)
    if (wanted(entry.id)) kept.insert(entry.id, entry.place);
  *this = std::move(kept);
}

void RowIndex::remember(std::uint32_t entry, std::uint64_t hash) {
  const std::size_t count = entries_.size() - merged_;
  if (2 * count > recent_.size()) {
    recent_.assign(std::max<std::size_t>(64, 2 * recent_.size()), 0);
    for (std::size_t i = merged_; i < entry; ++i)
      remember(static_cast<std::uint32_t>(i), hash_of(entries_[i].id));
  }
  const std::size_t mask = recent_.size() - 1;
  std::size_t at = hash >> std::countl_zero(mask);
  while (recent_[at] != 0) at = (at + 1) & mask;
  recent_[at] = entry + 1;
}

void RowIndex::merge_recent() {
  std::vector<std::uint64_t> fresh;
  fresh.reserve(entries_.size() - merged_);
  for (std::size_t i = merged_; i < entries_.size(); ++i)
    fresh.push_back(element_of(hash_of(entries_[i].id), static_cast<std::uint32_t>(i)));
  std::sort(fresh.begin(), fresh.end());

  PagedBlock merged(entries_.size() * sizeof(std::uint64_t));
  const auto* from = reinterpret_cast<const std::uint64_t*>(sorted_.data());
  const auto* const begin = from;
  const auto* const end = from + merged_;
  auto* const out = reinterpret_cast<std::uint64_t*>(merged.data());
  auto* to = out;
  std::size_t released_to = 0, released_from = 0;
  const auto bytes_to = [](const std::uint64_t* first, const std::uint64_t* last) {
    return static_cast<std::size_t>(last - first) * sizeof(std::uint64_t);
  };
  for (auto next = fresh.begin(); next != fresh.end() || from != end;) {
    for (std::size_t i = 0; i < kMergeStep && (next != fresh.end() || from != end); ++i)
      *to++ = next == fresh.end() || (from != end && *from < *next) ? *from++ : *next++;
    merged.release(released_to, bytes_to(out, to));
    sorted_.release(released_from, bytes_to(begin, from));
    released_to = bytes_to(out, to);
    released_from = bytes_to(begin, from);
  }
  if (!cursors_) cursors_ = std::make_unique<std::atomic<std::uint32_t>[]>(kCursors);
  sorted_ = std::move(merged);
  merged_ = entries_.size();
  std::fill(recent_.begin(), recent_.end(), 0);
  if (merged_ > filter_capacity_) {
    make_filter();
  } else {
    for (const std::uint64_t element : fresh) add_to_filter(hash_of(entries_[position_in(element)].id));
  }
}

bool RowIndex::may_have(std::uint64_t hash) const {
  if (filter_.empty()) return false;
  const std::uint64_t* const line = filter_.data() + scaled(hash, filter_.size() / kLineWords) * kLineWords;
  std::uint64_t bits = hash * 0x9e3779b97f4a7c15u;
  for (std::size_t i = 0; i < kFilterProbes; ++i, bits <<= 9)
    if ((line[bits >> 61] >> (bits >> 55 & 63) & 1) == 0) return false;
  return true;
}

void RowIndex::add_to_filter(std::uint64_t hash) {
  std::uint64_t* const line = filter_.data() + scaled(hash, filter_.size() / kLineWords) * kLineWords;
  std::uint64_t bits = hash * 0x9e3779b97f4a7c15u;
  for (std::size_t i = 0; i < kFilterProbes; ++i, bits <<= 9)
    line[bits >> 61] |= std::uint64_t{1} << (bits >> 55 & 63);
}

void RowIndex::make_filter() {
  filter_capacity_ = merged_ + merged_ / 2;
  std::vector<std::uint64_t>().swap(filter_);  // not both in memory
  filter_.resize((filter_capacity_ * kFilterBitsPerEntry / (64 * kLineWords) + 1) * kLineWords);
  for (const Entry& entry : entries_) add_to_filter(hash_of(entry.id));
}

}  // namespace graft
