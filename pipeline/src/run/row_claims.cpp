#include "run/row_claims.h"

#include <algorithm>

#include "run/run_table.h"

namespace graft {

bool RowClaims::claim(const Digest& id, const RunTable& table) {
  if (!claimed_.try_insert(id, {})) return false;
  if (claimed_.size() < look_at_) return true;
  // A row that the store has is found there. An input of several views has all of them only later.
  if (std::all_of(table.views.begin(), table.views.end(), [](auto n) { return n <= 1; }))
    claimed_.keep_if([&](const Digest& claimed) { return !table.store->find_row(claimed); });
  look_at_ = std::max(kLeastClaims, 2 * claimed_.size());
  return true;
}

void RowClaims::clear() {
  *this = RowClaims();
}

}  // namespace graft
