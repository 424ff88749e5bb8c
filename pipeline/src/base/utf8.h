#pragma once

#include <string>
#include <string_view>

#include <graft/export.h>

namespace graft {

/// The text with every byte that is no UTF-8 written as \xff, so that it is UTF-8; all else stays. Different
/// texts stay different, but for one that has such an escape in letters.
GRAFT_API std::string as_utf8(std::string_view text);

}  // namespace graft
