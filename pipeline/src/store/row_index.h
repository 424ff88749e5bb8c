#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <graft/export.h>
#include <graft/hash.h>

#include "base/paged_memory.h"

namespace graft {

/// Where a committed row is: in which part of the table (a shard or a log), and at which place there.
struct RowPlace {
  std::uint32_t part = 0;
  std::uint32_t row = 0;
};

/// Finds rows by id. Tables have millions of rows, so that nearly all of it lies in paged memory: the
/// entries, in the order in which they came, and an array of hashes and positions, sorted by hash. In memory
/// are the newest entries, until there are enough of them to be merged into the array, and a filter of ten
/// bits per entry at most, which answers for ids that are not there. An id that follows one of the last in
/// the order of the entries, as rows of an unchanged list do, and those of many shards, is found without a
/// search. Any number of threads may call find() of a constant index.
class GRAFT_API RowIndex {
 public:
  RowIndex();
  RowIndex(RowIndex&& other) noexcept { *this = std::move(other); }
  RowIndex& operator=(RowIndex&& other) noexcept;

  std::size_t size() const { return entries_.size(); }
  void clear() { *this = RowIndex(); }

  /// The place of a row; nullptr when there is none. Valid until the next insert.
  RowPlace* find(const Digest& id) {
    return const_cast<RowPlace*>(static_cast<const RowIndex*>(this)->find(id));
  }
  const RowPlace* find(const Digest& id) const;

  /// The row must not be there yet. At most 2^32 - 2 rows.
  void insert(const Digest& id, RowPlace place);
  /// Inserts it, unless it is there: then false.
  bool try_insert(const Digest& id, RowPlace place);
  /// Removes all others.
  void keep_if(const std::function<bool(const Digest&)>& wanted);

 private:
  struct Entry {
    Digest id;
    RowPlace place;
  };

  /// An id is a hash already, but may come from a file that somebody has made: with factors that he does not
  /// know, no ids can be chosen that all meet in one place.
  std::uint64_t hash_of(const Digest& id) const { return id.low * low_factor_ + id.high * high_factor_; }
  const Entry* find_recent(const Digest& id, std::uint64_t hash) const;
  const Entry* find_sorted(const Digest& id, std::uint64_t hash) const;
  const Entry* find_next(const Digest& id) const;
  void remember(std::uint32_t entry, std::uint64_t hash);
  void merge_recent();
  bool may_have(std::uint64_t hash) const;
  void add_to_filter(std::uint64_t hash);
  void make_filter();
  void note_touch(std::uint32_t weight) const;

  PagedVector<Entry> entries_;
  std::vector<std::uint32_t> recent_;  // open addressing; 1 + position of an entry from merged_ on, 0: free
  std::size_t merged_ = 0;             // entries in sorted_
  PagedBlock sorted_;                  // upper half of the hash << 32 | position
  std::vector<std::uint64_t> filter_;  // lines of eight words
  std::size_t filter_capacity_ = 0;
  std::uint64_t low_factor_ = 0, high_factor_ = 0;
  mutable std::atomic<std::uint32_t> last_{0};  // position of the entry that was found last
  /// Positions of entries that were found last, and the oldest of them; none before entries are merged.
  std::unique_ptr<std::atomic<std::uint32_t>[]> cursors_;
  mutable std::atomic<std::uint32_t> oldest_{0};
  mutable std::atomic<std::uint32_t> touched_{0};  // since pages were released
};

}  // namespace graft
