#pragma once

#include <string>
#include <vector>

#include <graft/export.h>
#include <graft/value.h>

#include "store/listing.h"

namespace graft {

/// Inputs of equal content in different splits make figures too good: what was learnt is then asked. Returns
/// a warning that counts them and names a pair, or nothing. Inputs whose content is not known are left out.
/// `first`: of first_of_content().
GRAFT_API std::string find_leaks(const Listing& listing, const PagedVector<std::uint32_t>& first);

/// Inputs of equal content with different labels cannot all be learnt, nor all be right. Returns a warning
/// that counts those that differ from the first of their content and names a pair, or nothing. Rejected
/// inputs, and those that are unlabelled or whose content is not known, are left out.
GRAFT_API std::string find_contradictions(const Listing& listing, const PagedVector<std::uint32_t>& first);

/// For results.json: how many inputs have the content of an earlier one (`inputs`), how many of those are in
/// another split (`in_other_splits`), and `examples`, pairs of "key (split, class)", those of two splits
/// first. Rejected inputs, and those whose content is not known, are left out.
GRAFT_API Value duplicates_in(const Listing& listing, const PagedVector<std::uint32_t>& first);

/// Warnings of unlabelled inputs, counted by split, and of test inputs that show none of the classes in a
/// source that is not multi-label: learners and scores leave them out. Empty when there are none, or no
/// classes. Rejected inputs do not count.
GRAFT_API std::vector<std::string> find_unlabelled(const Listing& listing);

}  // namespace graft
