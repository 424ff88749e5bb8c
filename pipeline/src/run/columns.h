#pragma once

#include <string>
#include <vector>

#include <graft/export.h>

namespace graft {

/// Rows of cells as lines, flush left in columns, with two spaces before and between them. Widths count
/// characters of UTF-8; a cell is one line, whatever is in it (graft/printable.h).
GRAFT_API std::string columns(std::vector<std::vector<std::string>> rows);

}  // namespace graft
