#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <graft/item.h>

#include "store/row.h"

namespace graft {

/// Class indices of an input: one, nearly always, which then takes no memory of its own.
class InputLabels {
 public:
  InputLabels& operator=(const std::vector<std::int32_t>& labels) {
    size_ = static_cast<std::uint32_t>(labels.size());
    many_.reset();
    if (size_ == 1) one_ = labels[0];
    if (size_ > 1) {
      many_ = std::make_unique<std::int32_t[]>(size_);
      std::copy(labels.begin(), labels.end(), many_.get());
    }
    return *this;
  }
  operator std::span<const std::int32_t>() const { return {begin(), size_}; }
  const std::int32_t* begin() const { return many_ ? many_.get() : &one_; }
  const std::int32_t* end() const { return begin() + size_; }
  std::size_t size() const { return size_; }

 private:
  std::int32_t one_ = 0;
  std::uint32_t size_ = 0;
  std::unique_ptr<std::int32_t[]> many_;
};

/// One input of a run: what the source said, and what became of it. Lists have millions of them.
struct ListedInput {
  std::string_view key;  ///< Kept by the listing.
  Split split = Split::Train;
  bool negative = false;  ///< As Entry::negative.
  std::uint32_t rows =
      0;  ///< Of all tables, once the stream has ended: fewer than views when some were rejected.
  InputLabels labels;
  std::optional<Digest> content;  ///< Known once the input has been read, or from the memo.
  /// Set when the input is rejected, in this run or an earlier one: a table that takes it has no row of it.
  std::unique_ptr<StoredReject> reject;
  /// Set when a table has rows of it, but not of every view: why the first of the others was rejected.
  std::unique_ptr<StoredReject> fewer_views;

  bool labelled() const { return negative || labels.size() > 0; }
};

/// Texts one after the other in large blocks; they stay where they are.
class TextArena {
 public:
  std::string_view keep(std::string_view text) {
    if (text.size() > left_) {
      left_ = std::max(kBlockBytes, text.size());
      blocks_.push_back(std::make_unique<char[]>(left_));
      at_ = blocks_.back().get();
    }
    if (!text.empty()) std::memcpy(at_, text.data(), text.size());
    const std::string_view kept(at_, text.size());
    at_ += text.size();
    left_ -= text.size();
    return kept;
  }

 private:
  static constexpr std::size_t kBlockBytes = std::size_t{1} << 16;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* at_ = nullptr;
  std::size_t left_ = 0;
};

/// Every input of a source, in its order. A deque: addresses stay while it grows.
struct Listing {
  std::size_t source = 0;  ///< Index into Plan::stages.
  std::vector<std::string> classes;
  std::deque<ListedInput> inputs;
  TextArena keys;
};

/// Some train or val input has several labels, or is labelled with none of the classes. Test has no say in
/// how anything is trained.
GRAFT_API bool is_multi_label(const Listing& listing);

/// For each input, the first one in the list that has the same content: itself, unless it is a duplicate.
GRAFT_API std::vector<std::uint32_t> first_of_content(const Listing& listing);

}  // namespace graft
