#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include <graft/value.h>

#include "store/listing.h"

namespace graft {

/// Inputs that one stage rejected with one code.
struct RejectReason {
  std::string stage, code;
  std::size_t count = 0;
  std::string key, text;  ///< Of the first of them.
};

/// "photos/a.png: missing, cannot open the file".
GRAFT_API std::string in_words(const RejectReason& reason);

/// Why inputs were rejected, the most frequent reasons first; ties go to the earlier input. `counted`: which
/// inputs to look at; all, where it is empty.
GRAFT_API std::vector<RejectReason> reject_reasons(
    const std::vector<const Listing*>& listings, const std::function<bool(const ListedInput&)>& counted = {});

/// The three most frequent ones, a line each: "         12 missing, e.g. a.png: cannot open the file\n".
GRAFT_API std::string frequent_reasons(const std::vector<RejectReason>& reasons);

/// A list of maps with stage, code, count, key and text, for results.json.
GRAFT_API Value to_value(const std::vector<RejectReason>& reasons);

/// A warning for the classes all of whose inputs were rejected, and for those that lost all inputs of a
/// split. Empty when there is none.
GRAFT_API std::vector<std::string> lost_classes(const Listing& listing);

}  // namespace graft
