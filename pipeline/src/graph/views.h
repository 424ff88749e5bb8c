#pragma once

#include <array>
#include <cstdint>

#include "base/assert.h"
#include "config/plan.h"

namespace graft {

/// How the views of an input are numbered: in the graph, in row ids, in the counts of inputs.
///
/// A stage that makes n views of every item turns view v into the views v * n .. v * n + n - 1. An item of a
/// split that the stage does not handle passes by and keeps its number. So the views of an input are always
/// dense, 0 .. n - 1, and n depends on the input's split alone. A view that a stage rejects stays rejected
/// under every number that later stages would have made of it: every view of every input ends as one row or
/// as one reject.
struct ViewPlace {
  std::uint32_t view;   ///< The number of the view.
  std::uint64_t order;  ///< Its position on the edge: dense whatever the splits.
  bool exists;          ///< False: nothing but a placeholder that keeps positions dense.
};

/// The position, after a stage that makes `n` views, of the first place that it makes of a message.
constexpr std::uint64_t order_after(std::uint64_t order, std::uint32_t n) {
  return order * n;
}

/// The k-th of the `n` places that a stage with `n` views makes of a message, k < n.
constexpr ViewPlace place_of_view(std::uint32_t view, std::uint64_t order, std::uint32_t n, std::uint32_t k,
                                  bool handled) {
  GRAFT_ASSERT(k < n);
  return {handled ? view * n + k : view, order_after(order, n) + k, handled || k == 0};
}

/// Views that a stage makes of every item it handles, by its schema's ViewsRule.
GRAFT_API std::uint32_t declared_views(const StagePlan& stage);

/// How many views an input of a split has in what a stage gives, and in a table: by Split. 0: the collector
/// takes no input of that split. Throws Error when there are more than a table can name.
using ViewCounts = std::array<std::uint32_t, 3>;
GRAFT_API ViewCounts count_views(const Plan& plan, std::size_t stage);

}  // namespace graft
