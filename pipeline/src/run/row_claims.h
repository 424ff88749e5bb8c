#pragma once

#include <cstddef>

#include <graft/export.h>
#include <graft/hash.h>

#include "store/row_index.h"

namespace graft {

struct RunTable;

/// The rows of a table that some input of this run is computed for, so that another input with the same
/// content is not computed, too. One thread at a time.
class GRAFT_API RowClaims {
 public:
  /// False where the row was claimed before.
  bool claim(const Digest& id, const RunTable& table);
  void clear();

 private:
  static constexpr std::size_t kLeastClaims = 131072;

  RowIndex claimed_;
  std::size_t look_at_ = kLeastClaims;  // claims at which those of stored rows are dropped
};

}  // namespace graft
