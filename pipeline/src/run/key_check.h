#pragma once

#include <graft/export.h>

#include "store/listing.h"
#include "store/row_index.h"

namespace graft {

/// Whether each key of a listing is there once. Most sources list in the order of the keys: then nothing is
/// kept. One thread at a time.
class GRAFT_API KeyCheck {
 public:
  /// Whether the last input of the list has the key of an earlier one. To be called for every input.
  bool repeats(const Listing& listing);
  void clear();

 private:
  bool ascending_ = true;
  RowIndex keys_;  // digests of all keys, once one was not greater than that before it
};

}  // namespace graft
