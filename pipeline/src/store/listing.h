#pragma once

#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <graft/item.h>

#include "base/paged_memory.h"
#include "store/row.h"

namespace graft {

/// Class indices of an input: one, nearly always, which then takes no memory of its own.
class InputLabels {
 public:
  InputLabels() = default;
  /// Several are kept by the listing.
  explicit InputLabels(std::span<const std::int32_t> kept)
      : many_(kept.size() > 1 ? kept.data() : nullptr), size_(static_cast<std::uint32_t>(kept.size())) {
    if (size_ == 1) one_ = kept[0];
  }
  operator std::span<const std::int32_t>() const { return {begin(), size_}; }
  const std::int32_t* begin() const { return many_ != nullptr ? many_ : &one_; }
  const std::int32_t* end() const { return begin() + size_; }
  std::size_t size() const { return size_; }

 private:
  const std::int32_t* many_ = nullptr;
  std::int32_t one_ = 0;
  std::uint32_t size_ = 0;
};

/// One input of a run: what the source said, and what became of it. Lists have millions of them, so that they
/// lie in paged memory; what it points to belongs to the listing.
struct ListedInput {
  std::string_view key;
  Split split = Split::Train;
  bool negative = false;  ///< As Entry::negative.
  std::uint32_t rows =
      0;  ///< Of all tables, once the stream has ended: fewer than views when some were rejected.
  InputLabels labels;
  std::optional<Digest> content;  ///< Known once the input has been read, or from the memo.
  /// Set when the input is rejected, in this run or an earlier one: a table that takes it has no row of it.
  const StoredReject* reject = nullptr;
  /// Set when a table has rows of it, but not of every view: why the first of the others was rejected.
  const StoredReject* fewer_views = nullptr;

  bool labelled() const { return negative || labels.size() > 0; }
};

/// Every input of a source, in its order. Addresses stay while it grows.
struct GRAFT_API Listing {
  std::size_t source = 0;  ///< Index into Plan::stages.
  std::vector<std::string> classes;
  PagedVector<ListedInput> inputs;

  /// Appends an input.
  ListedInput& add(std::string_view key, Split split, std::span<const std::int32_t> labels,
                   bool negative = false) {
    ListedInput input;
    input.key = arena_.keep(key);
    input.split = split;
    input.labels = InputLabels(labels.size() > 1 ? arena_.keep(labels) : labels);
    input.negative = negative;
    return inputs.push_back(input);
  }
  /// Keeps a reason for inputs to point to: many missing files have one reason. One thread at a time.
  const StoredReject* keep(StoredReject reason);
  /// Gives back the pages of keys that were looked at: loops over all of them call it now and then.
  void release_keys() const { arena_.release(); }

 private:
  PagedArena arena_;
  std::deque<StoredReject> rejects_;
};

/// Some train or val input has several labels, or is labelled with none of the classes. Test has no say in
/// how anything is trained.
GRAFT_API bool is_multi_label(const Listing& listing);

/// For each input, the first one in the list that has the same content: itself, unless it is a duplicate.
GRAFT_API PagedVector<std::uint32_t> first_of_content(const Listing& listing);

}  // namespace graft
