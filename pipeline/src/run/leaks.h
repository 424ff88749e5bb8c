#pragma once

#include <string>

#include <graft/export.h>

#include "store/listing.h"

namespace graft {

/// Inputs of equal content in different splits make figures too good: what was learnt is then asked. Returns
/// a warning that counts them and names a pair, or nothing. Inputs whose content is not known are left out.
GRAFT_API std::string find_leaks(const Listing& listing);

}  // namespace graft
