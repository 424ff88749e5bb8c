#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <graft/item.h>

#include "store/row.h"

namespace graft {

/// One input of a run: what the source said, and what became of it.
struct ListedInput {
  std::string key;
  Split split = Split::Train;
  std::vector<std::int32_t> labels;
  std::optional<Digest> content;       ///< Known once the input has been read, or from the memo.
  std::optional<StoredReject> reject;  ///< Set when a stage refused it, in this run or an earlier one.
};

/// Every input of a source, in its order. A deque: addresses stay while it grows.
struct Listing {
  std::size_t source = 0;  ///< Index into Plan::stages.
  std::vector<std::string> classes;
  std::deque<ListedInput> inputs;
};

}  // namespace graft
