#pragma once

#include <string>
#include <vector>

#include <graft/value.h>

namespace graft::model {

/// The JSON document that `graft WORDS` prints: the core alone reads configs. Its messages go to standard
/// error. Throws Error where graft is not found, fails, or prints something else.
Value ask_graft(const std::vector<std::string>& words);

}  // namespace graft::model
